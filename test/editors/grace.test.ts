import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type GraceHparams, grace } from '../../src/editors/grace.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { CodebookPart, Patch } from '../../src/models/patch.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { expectClose } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { givenRandom } from '../support/given-random.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { recordLosses } from '../support/record-losses.ts'
import { makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and losses: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }
/** A value after ten steps of Adam, which divides by the size of small gradients. */
const F32_DESCENT = { relative: 1e-3 }

interface GoldenEdit extends Pick<Fact, 'subject' | 'prompt' | 'targetNew'> {
  name: string
  branch: 'empty' | 'new' | 'grow' | 'split' | 'inside'
  start: number[]
  losses: number[]
  keys: number[]
  values: number[]
  radii: number[]
  labels: number[][]
}

const GOLDEN: { settings: GraceHparams; edits: GoldenEdit[] } = JSON.parse(
  readFileSync(new URL('../golden/grace.json', import.meta.url), 'utf8'),
)
const { settings, edits } = GOLDEN
const [FIRST, FAR, NEAR] = edits.map((golden) => makeFact(golden))
if (FIRST === undefined || FAR === undefined || NEAR === undefined) throw new Error('the golden file lacks edits')

let base: OpenModel
beforeAll(async () => {
  base = await openTinyModel()
})
afterAll(() => base.close())

/** One edit of a stream: the model it starts from, the patch it gives. */
async function edit(fact: Fact, history: readonly Patch[], hparams = settings, random = createRandom(1)) {
  const model = history.reduce((edited: LanguageModel, patch) => edited.withPatch(patch), base)
  const recorder = recordLosses(model)
  const job = { model: recorder.model, facts: [fact], hparams, prepared: undefined, history }
  const patch = await grace.edit(job, testContext({ random }))
  return { patch, book: bookOf(patch), losses: recorder.losses }
}

function bookOf(patch: Patch): CodebookPart {
  const [part] = patch.parts
  if (part?.kind !== 'codebook' || patch.parts.length !== 1) throw new Error('expected one codebook')
  return part
}

async function targetLogProbs(model: LanguageModel, { prompt, targetNew }: Fact): Promise<readonly number[]> {
  const [score] = await model.score([{ prompt, target: targetNew }])
  return score?.logProbs ?? []
}

test('builds the codebook that PyTorch builds, through every branch of the algorithm', async () => {
  expect(edits.map(({ branch }) => branch)).toEqual(['empty', 'new', 'grow', 'split', 'inside'])
  const history: Patch[] = []
  for (const golden of edits) {
    const { patch, book, losses } = await edit(makeFact(golden), history, settings, givenRandom(golden.start))
    expectClose(losses, golden.losses, F32_FORWARD, `${golden.name}: losses`)
    expectClose(book.keys.data, golden.keys, F32_FORWARD, `${golden.name}: keys`)
    expectClose(book.values.data, golden.values, F32_DESCENT, `${golden.name}: values`)
    // A radius that grew is a little larger than the oracle's, so that rounding cannot push the key outside.
    expectClose(book.radii.data, golden.radii, { relative: 3e-4 }, `${golden.name}: radii`)
    expect(book.labels).toEqual(golden.labels)
    expect(patch.report).toMatchObject({ entries: golden.labels.length, lossLast: losses.at(-1) })
    history.push(patch)
  }
})

describe('an edited model', () => {
  test('says the target after the prompt, with the loss that the training reached', async () => {
    const { patch, losses } = await edit(FIRST, [], { ...settings, steps: 60 })
    const logProbs = await targetLogProbs(base.withPatch(patch), FIRST)
    const mean = -logProbs.reduce((sum, value) => sum + value, 0) / logProbs.length
    expect(mean).toBeLessThan(losses[0] ?? 0)
    expect(mean).toBeCloseTo(losses.at(-1) ?? 0, 0)
  })

  test('is the unedited model, to the bit, wherever no key is near', async () => {
    const { patch } = await edit(FIRST, [])
    for (const prompt of ['People in Japan speak', NEAR.prompt]) {
      const elsewhere = { ...FIRST, prompt }
      const expected = await targetLogProbs(base, elsewhere)
      expect(await targetLogProbs(base.withPatch(patch), elsewhere)).toEqual(expected)
    }
  })

  test('fires on its own prompt even with the smallest of radii', async () => {
    const { patch } = await edit(FIRST, [], { ...settings, radius: 1e-3 })
    expect(await targetLogProbs(base.withPatch(patch), FIRST)).not.toEqual(await targetLogProbs(base, FIRST))
    expect(await targetLogProbs(base.withPatch(patch), NEAR)).toEqual(await targetLogProbs(base, NEAR))
  })

  test('keeps answering the first edit of a stream after others', async () => {
    const first = await edit(FIRST, [])
    const second = await edit(FAR, [first.patch])
    const both = base.withPatch(first.patch).withPatch(second.patch)
    expect(await targetLogProbs(both, FIRST)).toEqual(await targetLogProbs(base.withPatch(first.patch), FIRST))
  })
})

describe('a prompt that is edited again', () => {
  test('with another target takes the entry over, which keeps its radius', async () => {
    const { patch, book } = await edit(FIRST, [])
    const again = await edit({ ...FIRST, targetNew: 'Cairo' }, [patch])
    expect(again.book.radii.data).toEqual(book.radii.data)
    expect(again.book.labels).not.toEqual(book.labels)
    expect(again.patch.report.nearestKeyDistance).toBeLessThan(1e-3)
  })

  test('with another target of the same tokens in another order is another target', async () => {
    const [ids = []] = (await edit(FIRST, [])).book.labels
    const { patch } = await edit(FIRST, [])
    const swapped = bookOf(patch)
    const reversed: Patch = { parts: [{ ...swapped, labels: [[...ids].reverse()] }], report: {} }
    const { book, losses } = await edit(FIRST, [reversed])
    expect(book.labels).toEqual([ids])
    // A new entry starts from noise; one that goes on would start from the loss that was reached.
    expect(losses[0]).toBeGreaterThan(patch.report.lossLast ?? 0)
  })
})

describeEditor(grace)
describeMemory(grace, 216)
