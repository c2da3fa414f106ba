import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { ContextEntry, LowRankPart, Patch, QuestionLoop, Retrieval } from '../../src/models/patch.ts'
import { forgetFact, putIntoContext, putOnMap } from '../../src/models/retrieval.ts'
import { cosine, sentenceVectors } from '../../src/models/sentence-vectors.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../support/close.ts'
import { openTinyModel } from '../support/tiny-model.ts'

const LAYER = 1
/** Rows asked beside others or alone: the order of float32 sums. */
const F32_FORWARD = { absolute: 1e-5 }

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

describe('found on a map', () => {
  /** Leaves the model's vectors, scaled to length one, as they are, but for how far apart they lie. */
  const stretched = (factor: number) => {
    const { width } = model.config
    return tensor(
      Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? factor : 0)),
      [width, width],
    )
  }
  const onMap = async (above: number, factor: number): Promise<Patch> => {
    const map = stretched(factor)
    const entries = await Promise.all(
      [FRANCE, JAPAN].map(async (key) => {
        const vector = putOnMap(await sentenceVectors(model, { layer: LAYER }, [key]), map)
        return { ...(await entryOf(key)), vector: tensor(vector.data, [model.config.width]) }
      }),
    )
    return contextOf({ by: 'scope', vectors: { layer: LAYER }, map, above }, ...entries)
  }

  test('a prompt has the nearest entry, if it is near enough', async () => {
    const near = 'The capital city of France is'
    const [one, other] = await Promise.all(
      [FRANCE, near].map((text) => sentenceVectors(model, { layer: LAYER }, [text])),
    )
    if (one === undefined || other === undefined) throw new Error('no vectors')
    // Of vectors of length one, ‖u − v‖² = 2 − 2 cos.
    const likeness = (factor: number) => Math.exp(-(factor ** 2) * (2 - 2 * cosine(one, other)))
    for (const factor of [1, 3]) {
      const around = (above: number) => onMap(above, factor).then((patch) => model.withPatch(patch))
      expect(await ask(await around(likeness(factor) - 1e-4), near)).toEqual(await ask(model, within(FRANCE, near)))
      expect(await ask(await around(likeness(factor) + 1e-4), near)).toEqual(await ask(model, near))
    }
  })

  test('an edited prompt has its own entry, however far the map stretches', async () => {
    const patched = model.withPatch(await onMap(0.999, 100))
    for (const prompt of [FRANCE, JAPAN]) {
      expect(await ask(patched, prompt)).toEqual(await ask(model, within(prompt, prompt)))
    }
    expect(await ask(patched, UNRELATED)).toEqual(await ask(model, UNRELATED))
  })
})

describe('with adapters', () => {
  const adapter = (mark: number): LowRankPart => {
    const weight = model.weightName('mlp-down', 1)
    const [rows, columns] = model.weightShape(weight)
    const fill = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(mark + i))
    return { kind: 'low-rank', weight, left: tensor(fill(rows), [rows, 1]), right: tensor(fill(columns), [1, columns]) }
  }
  const adapted = async (key: string, adapters: readonly LowRankPart[]): Promise<Patch> => {
    const { parts, report } = contextOf(byCosine(0.99), await entryOf(key))
    return { parts: parts.map((part) => ({ ...part, adapters })), report }
  }

  test('has them for prompts that find an entry, and for no others, in one call', async () => {
    const adapters = [adapter(1)]
    const patched = model.withPatch(await adapted(FRANCE, adapters))
    const other = model.withPatch({ parts: adapters, report: {} })
    const prompts = [UNRELATED, FRANCE, JAPAN]
    const targets = prompts.map((prompt) => ({ prompt, target: 'Spain' }))
    const scored = await patched.score(targets)
    const written = await patched.generate(prompts, { maxNewTokens: 4 })
    for (const [i, prompt] of prompts.entries()) {
      const alone = prompt === FRANCE ? await ask(other, within(FRANCE, FRANCE)) : await ask(model, prompt)
      expectClose(scored[i]?.logProbs ?? [], alone.scored[0]?.logProbs ?? [], F32_FORWARD, prompt)
      expect(written[i]).toEqual(alone.written[0])
      expect(await ask(patched, prompt)).toEqual(alone)
    }
    expect(await ask(patched, FRANCE)).not.toEqual(await ask(model, within(FRANCE, FRANCE)))
  })

  test('adds them to what other patches did to a weight', async () => {
    const [own, before] = [adapter(1), adapter(2)]
    const first = model.withPatch({ parts: [before], report: {} })
    const both = first.withPatch({ parts: [own], report: {} })
    const patched = first.withPatch(await adapted(FRANCE, [own]))
    expect(await ask(patched, FRANCE)).toEqual(await ask(both, within(FRANCE, FRANCE)))
    expect(await ask(patched, UNRELATED)).toEqual(await ask(first, UNRELATED))
  })

  test('shares them among patches of one stream, and other ones take the place of all', async () => {
    const again = { ...(await adapted(JAPAN, [adapter(1)])) }
    const stream = model.withPatch(await adapted(FRANCE, [adapter(1)])).withPatch(again)
    const other = model.withPatch({ parts: [adapter(1)], report: {} })
    for (const prompt of [FRANCE, JAPAN]) {
      expect(await ask(stream, prompt)).toEqual(await ask(other, within(prompt, prompt)))
    }
    const changed = stream.withPatch(await adapted(UNRELATED, [adapter(3)]))
    expect(await ask(changed, FRANCE)).toEqual(await ask(model, FRANCE))
    expect(changed.id).not.toBe(stream.withPatch(await adapted(UNRELATED, [adapter(4)])).id)
  })
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
