import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { ContextEntry, Patch, QuestionLoop, Retrieval } from '../../src/models/patch.ts'
import { forgetFact, putIntoContext } from '../../src/models/retrieval.ts'
import { sentenceVectors } from '../../src/models/sentence-vectors.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { openTinyModel } from '../support/tiny-model.ts'

const LAYER = 1

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const FRANCE = 'The capital of France is'
const JAPAN = 'People in Japan speak'
const UNRELATED = 'Oslo'
const byCosine = (above: number | null): Retrieval => ({ by: 'cosine', vectors: { layer: LAYER }, above })

/** An entry found by its own prompt, with marks by which it can be told. */
async function entryOf(key: string, mark = key): Promise<ContextEntry> {
  const { data } = await sentenceVectors(model, { layer: LAYER }, [key])
  return { key, sentence: `${key}.`, vector: tensor(data, [data.length]), before: `${mark}: `, after: ` ${mark}!` }
}
const contextOf = (retrieval: Retrieval, ...entries: readonly ContextEntry[]): Patch => ({
  parts: [{ kind: 'context', retrieval, confirmation: null, entries }],
  report: {},
})
/** What a model says of a prompt, in both ways of asking. */
const ask = async (asked: LanguageModel, prompt: string) => ({
  scored: await asked.score([{ prompt, target: 'Spain' }]),
  written: await asked.generate([prompt], { maxNewTokens: 4 }),
})
const within = (mark: string, prompt: string) => `${mark}: ${prompt} ${mark}!`

test('stands around the prompt, in scoring and in generation', async () => {
  const patched = model.withPatch(contextOf(byCosine(null), await entryOf(FRANCE)))
  expect(await ask(patched, UNRELATED)).toEqual(await ask(model, within(FRANCE, UNRELATED)))
})

test.each([
  ['cosine', byCosine(null)],
  ['letters', { by: 'letters', below: 100 }],
] as const)('of several, the one nearest to the prompt is taken, by %s', async (_, retrieval) => {
  const patched = model.withPatch(contextOf(retrieval, await entryOf(JAPAN), await entryOf(FRANCE)))
  for (const prompt of [FRANCE, JAPAN]) {
    expect(await ask(patched, prompt)).toEqual(await ask(model, within(prompt, prompt)))
  }
})

test.each([
  ['cosine', byCosine(0.99)],
  ['letters', { by: 'letters', below: 3 }],
] as const)('leaves a prompt as it is that finds no entry, by %s', async (_, retrieval) => {
  const patched = model.withPatch(contextOf(retrieval, await entryOf(FRANCE)))
  expect(await ask(patched, FRANCE)).toEqual(await ask(model, within(FRANCE, FRANCE)))
  expect(await ask(patched, UNRELATED)).toEqual(await ask(model, UNRELATED))
})

test('a bound is not within itself: the cosine is above it, the letters are below', async () => {
  const entry = await entryOf(FRANCE)
  const near = `${FRANCE}nt`
  const letters = (below: number) => model.withPatch(contextOf({ by: 'letters', below }, entry))
  expect(await ask(letters(2), near)).toEqual(await ask(model, near))
  expect(await ask(letters(3), near)).toEqual(await ask(model, within(FRANCE, near)))
  const strict = model.withPatch(contextOf(byCosine(1.1), entry))
  expect(await ask(strict, FRANCE)).toEqual(await ask(model, FRANCE))
})

test('of several patches is one memory, in which the newest entry of a key counts', async () => {
  const [old, other, renewed] = [await entryOf(FRANCE, 'old'), await entryOf(JAPAN), await entryOf(FRANCE, 'new')]
  const stream = [old, other, renewed].map((entry) => contextOf(byCosine(null), entry))
  const all = stream.reduce((edited: LanguageModel, patch) => edited.withPatch(patch), model)
  expect(await ask(all, FRANCE)).toEqual(await ask(model, within('new', FRANCE)))
  expect(await ask(all, JAPAN)).toEqual(await ask(model, within(JAPAN, JAPAN)))
  const undone = stream.slice(0, 2).reduce((edited: LanguageModel, patch) => edited.withPatch(patch), model)
  expect(await ask(undone, FRANCE)).toEqual(await ask(model, within('old', FRANCE)))
})

test('that is searched in another way takes the place of an earlier one', async () => {
  const earlier = model.withPatch(contextOf(byCosine(null), await entryOf(FRANCE)))
  const later = earlier.withPatch(contextOf({ by: 'letters', below: 1 }, await entryOf(JAPAN)))
  expect(await ask(later, JAPAN)).toEqual(await ask(model, within(JAPAN, JAPAN)))
  expect(await ask(later, FRANCE)).toEqual(await ask(model, FRANCE))
})

test('makes another model, whose id does not depend on the order of fields', async () => {
  const { key, sentence, vector, before, after } = await entryOf(FRANCE)
  const context = contextOf(byCosine(0.5), { key, sentence, vector, before, after })
  const { id } = model.withPatch(context)
  expect(
    model.withPatch(
      contextOf({ above: 0.5, vectors: { layer: LAYER }, by: 'cosine' }, { after, before, vector, sentence, key }),
    ).id,
  ).toBe(id)
  expect(model.withPatch(contextOf(byCosine(0.6), { key, sentence, vector, before, after })).id).not.toBe(id)
  expect(model.withPatch(contextOf(byCosine(0.5), { key, sentence, vector, before, after: '' })).id).not.toBe(id)
})

test('loses one fact out of many as if it had never held it', async () => {
  const [france, japan] = [await entryOf(FRANCE), await entryOf(JAPAN)]
  const both = contextOf(byCosine(0.99), france, japan)
  expect(forgetFact(both, FRANCE)).toEqual(contextOf(byCosine(0.99), japan))
  expect(await ask(model.withPatch(forgetFact(both, FRANCE)), FRANCE)).toEqual(await ask(model, FRANCE))
  expect(forgetFact(both, 'never told')).toEqual(both)
})

describe('a memory that has prompts answered in steps', () => {
  const loop: QuestionLoop = { format: 'constrained', examples: '', subquestions: 1, maxNewTokens: 8 }
  const stepwise = (patch: Patch, change: Partial<QuestionLoop> = {}): Patch => ({
    ...patch,
    parts: patch.parts.map((part) => (part.kind === 'context' ? { ...part, loop: { ...loop, ...change } } : part)),
  })

  test('asks the same text in scoring and in writing', async () => {
    const patch = stepwise(contextOf(byCosine(null), await entryOf(FRANCE)))
    const [part] = patch.parts
    if (part?.kind !== 'context') throw new Error('expected a context')
    const asked = await putIntoContext(model, part, [JAPAN, JAPAN])
    expect(asked[0]).toEqual(asked[1])
    expect(asked[0]).toMatchObject({ loopFailed: false, text: expect.stringContaining(`Retrieved fact: ${FRANCE}.`) })
    const edited = model.withPatch(patch)
    expect(await ask(edited, JAPAN)).toEqual(await ask(model, asked[0]?.text ?? ''))
  })

  test('asks a prompt as it is whose steps fail, and says so of what is written', async () => {
    const edited = model.withPatch(stepwise(contextOf(byCosine(null), await entryOf(FRANCE)), { format: 'free' }))
    const [unedited, found] = [await ask(model, JAPAN), await ask(edited, JAPAN)]
    expect(found).toEqual({ ...unedited, written: unedited.written.map((one) => ({ ...one, loopFailed: true })) })
  })

  test('leaves prompts as they are once it holds nothing, and counts no failure', async () => {
    const patch = stepwise(contextOf(byCosine(null), await entryOf(FRANCE)))
    expect(await ask(model.withPatch(forgetFact(patch, FRANCE)), JAPAN)).toEqual(await ask(model, JAPAN))
  })

  test('of several patches is one memory', async () => {
    const [one, other] = [
      contextOf(byCosine(null), await entryOf(FRANCE)),
      contextOf(byCosine(null), await entryOf(JAPAN)),
    ]
    const both = contextOf(byCosine(null), await entryOf(JAPAN), await entryOf(FRANCE))
    const stream = model.withPatch(stepwise(one)).withPatch(stepwise(other))
    expect(await ask(stream, JAPAN)).toEqual(await ask(model.withPatch(stepwise(both)), JAPAN))
    const last = model.withPatch(stepwise(one)).withPatch(stepwise(other, { maxNewTokens: 9 }))
    expect(await ask(last, FRANCE)).toEqual(await ask(model.withPatch(stepwise(other, { maxNewTokens: 9 })), FRANCE))
  })
})
