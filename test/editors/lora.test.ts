import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type LoraHparams, lora } from '../../src/editors/lora.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { LowRankPart, Patch } from '../../src/models/patch.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { givenRandom } from '../support/given-random.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { recordLosses } from '../support/record-losses.ts'
import { FACTS, makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, type TinyModel, testContext } from '../support/tiny-model.ts'

/** Losses: rounding of float32 over four layers, carried along by up to 20 steps of Adam. */
const F32_LOSS = { relative: 1e-4 }
/** The change of a matrix: Adam divides by the size of a gradient, so that the rounding of small ones counts as well. */
const F32_CHANGE = 1e-3

interface GoldenCase {
  name: string
  hparams: LoraHparams
  facts: Pick<Fact, 'id' | 'subject' | 'prompt' | 'targetNew'>[]
  uniforms: number[]
  epochs: number
  losses: number[]
  changes: Record<string, { row: number[]; column: number[] }>
}

const GOLDEN: { cases: GoldenCase[] } = JSON.parse(
  readFileSync(new URL('../golden/lora.json', import.meta.url), 'utf8'),
)
const HPARAMS: LoraHparams = {
  modules: 'feed-forward',
  rank: 2,
  alpha: 8,
  learningRate: 0.02,
  steps: 100,
  batchSize: 1,
  stopLoss: 0.05,
}

let base: OpenModel
beforeAll(async () => {
  base = await openTinyModel()
})
afterAll(() => base.close())

function edit(model: LanguageModel, facts: readonly Fact[], hparams = HPARAMS, ctx = testContext()): Promise<Patch> {
  return lora.edit({ model, facts, hparams, prepared: undefined, history: [] }, ctx)
}

function partsOf(patch: Patch): LowRankPart[] {
  return patch.parts.flatMap((part) => (part.kind === 'low-rank' ? [part] : []))
}

/** Σ over r of left[i, r] · right[r, j]. */
function entry({ left, right }: LowRankPart, i: number, j: number): number {
  const [rank = 0, columns = 0] = right.shape
  let sum = 0
  for (let r = 0; r < rank; r++) sum += (left.data[i * rank + r] ?? 0) * (right.data[r * columns + j] ?? 0)
  return sum
}

test.each(GOLDEN.cases)('descends as PyTorch does: $name', async (golden) => {
  const recorder = recordLosses(base)
  const ctx = testContext({ random: givenRandom(golden.uniforms) })
  const facts = golden.facts.map((fact) => makeFact(fact))
  const { parts, report } = await edit(recorder.model, facts, golden.hparams, ctx)
  expectClose(recorder.losses, golden.losses, F32_LOSS, 'losses')
  expect(report.epochs).toBe(golden.epochs)

  expect(parts.map((part) => part.kind === 'low-rank' && part.weight)).toEqual(Object.keys(golden.changes))
  for (const part of partsOf({ parts, report })) {
    const { row = [], column = [] } = golden.changes[part.weight] ?? {}
    expect([part.left.shape, part.right.shape]).toEqual([
      [column.length, golden.hparams.rank],
      [golden.hparams.rank, row.length],
    ])
    expect(
      relativeError(
        row.map((_, j) => entry(part, 0, j)),
        row,
      ),
      `${part.weight} row`,
    ).toBeLessThan(F32_CHANGE)
    expect(
      relativeError(
        column.map((_, i) => entry(part, i, 0)),
        column,
      ),
      part.weight,
    ).toBeLessThan(F32_CHANGE)
  }
})

test('begins with the model as it is: the first loss is the unedited one, and one step moves B alone', async () => {
  const [fact] = FACTS
  const [score] = await base.score([{ prompt: fact.prompt, target: fact.targetNew }])
  const logProbs = score?.logProbs ?? []
  const one = await edit(base, [fact], { ...HPARAMS, steps: 1 })
  const two = await edit(base, [fact], { ...HPARAMS, steps: 2 })
  expect(one.report.lossFirst).toBeCloseTo(-logProbs.reduce((sum, value) => sum + value, 0) / logProbs.length, 4)
  const [first, second] = [partsOf(one), partsOf(two)]
  first.forEach(({ left, right }, i) => {
    const limit = 1 / Math.sqrt(left.shape[0] ?? 0)
    expect(Math.max(...left.data.map(Math.abs))).toBeLessThanOrEqual(limit)
    // Adam's first step is the learning rate, here times α/r, whatever the gradient.
    expect(Math.max(...right.data.map(Math.abs))).toBeCloseTo(4 * HPARAMS.learningRate, 4)
    expect(second[i]?.left.data).not.toEqual(left.data)
  })
})

describe('an edited model', () => {
  test('says the target with the loss that the training reached', async () => {
    const [fact] = FACTS
    const patch = await edit(base, [fact])
    expect(patch.report.lossLast).toBeLessThan(HPARAMS.stopLoss)
    const [score] = await base.withPatch(patch).score([{ prompt: fact.prompt, target: fact.targetNew }])
    expect(score?.argmax).toEqual(score?.ids)
    const loss = -(score?.logProbs ?? []).reduce((sum, value, _, all) => sum + value / all.length, 0)
    expect(loss).toBeCloseTo(patch.report.lossLast ?? Number.NaN, 3)
  })

  test('is where a second edit begins', async () => {
    const [fact] = FACTS
    const first = await edit(base, [fact])
    const again = await edit(base.withPatch(first), [fact], HPARAMS)
    expect(again.report).toMatchObject({ epochs: 1, change: 0 })
    expect(again.report.lossFirst).toBeCloseTo(first.report.lossLast ?? Number.NaN, 4)
  })
})

test.each<[TinyModel, string, number]>([
  ['tiny-llama', 'attention', 8],
  ['tiny-llama', 'feed-forward', 8],
  // One projection makes queries, keys and values.
  ['tiny-gpt2', 'attention', 3],
  ['tiny-phi3', 'attention', 3],
  ['tiny-t5', 'attention', 8],
])('adapts each matrix once: %s, %s', async (name, modules, count) => {
  const model = await openTinyModel(name)
  const [fact] = FACTS
  const { parts } = await edit(model, [fact], { ...HPARAMS, modules, steps: 1 })
  const weights = parts.map((part) => part.kind === 'low-rank' && part.weight)
  expect(new Set(weights).size).toBe(count)
  expect(weights).toHaveLength(count)
  await model.close()
})

describeEditor(lora)
describeMemory(lora, 252)
