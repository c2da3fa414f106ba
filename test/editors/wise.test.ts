import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type WiseHparams, type WisePreparation, wise } from '../../src/editors/wise.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { Patch, SideMemoriesPart } from '../../src/models/patch.ts'
import { decodePatch, encodePatch } from '../../src/models/patch-file.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { givenRandom } from '../support/given-random.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS, makeFact, SHORT_FACTS, TEXT, TRAINING_FACTS } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Losses of the target over the first steps, and what the memory says after them: rounding of float32 over four layers. */
const F32_LOSS = { relative: 1e-3 }
const F32_FORWARD = { relative: 1e-3 }
/** Deltas and activations after eleven steps. */
const F32_DESCENT = 1e-3

interface Golden {
  shape: number[]
  data: number[]
}

interface GoldenEdit extends Pick<Fact, 'id' | 'subject' | 'prompt' | 'targetNew'> {
  uniform: number[]
  losses: number[]
  activation: number
  deltas: Golden
  thresholds: number[]
  says: number[][]
}

const GOLDEN: {
  settings: WiseHparams
  prepared: { prefixes: string[]; others: Golden[]; otherPrompts: string[]; unit: number; stepScale: number }
  asked: string[]
  edits: GoldenEdit[]
} = JSON.parse(readFileSync(new URL('../golden/wise.json', import.meta.url), 'utf8'))
const HPARAMS = GOLDEN.settings
const PREPARED: WisePreparation = {
  ...GOLDEN.prepared,
  others: GOLDEN.prepared.others.map(({ shape, data }) => tensor(Float32Array.from(data), shape)),
}

let base: OpenModel
beforeAll(async () => {
  base = await openTinyModel()
})
afterAll(() => base.close())

interface Options {
  readonly history?: readonly Patch[]
  readonly hparams?: Partial<WiseHparams>
  readonly ctx?: ReturnType<typeof testContext>
}

function edit(fact: Fact, { history = [], hparams = {}, ctx = testContext() }: Options = {}): Promise<Patch> {
  const model = history.reduce((edited: LanguageModel, patch) => edited.withPatch(patch), base)
  return wise.edit({ model, facts: [fact], hparams: { ...HPARAMS, ...hparams }, prepared: PREPARED, history }, ctx)
}

function memoriesOf({ parts: [part] }: Patch): SideMemoriesPart {
  if (part?.kind !== 'side-memories') throw new Error('expected side memories')
  return part
}

async function nextTokens(model: LanguageModel, prompts: readonly string[]) {
  const rows = await Promise.all(prompts.map(async (prompt) => (await model.tokenizer.encode(prompt)).ids))
  const targets = Array.from({ length: 12 }, (_, id) => id)
  return Promise.all(
    rows.map(async (ids) => {
      const at = targets.map(() => ({ row: 0, token: ids.length - 1 }))
      const read = [{ site: 'logits', at, as: 'log-probs', targets }] as const
      return (await model.run({ tokens: { rows: [ids] }, read })).reads[0]?.data ?? new Float32Array()
    }),
  )
}

test('descends, gates and merges as PyTorch does, in a stream of four edits into two memories', async () => {
  const history: Patch[] = []
  for (const golden of GOLDEN.edits) {
    const patch = await edit(makeFact(golden), {
      history,
      ctx: testContext({ random: givenRandom(golden.uniform) }),
    })
    const { steps, lossFirst, lossLast, activation } = patch.report
    expect(steps).toBe(golden.losses.length)
    expectClose([lossFirst ?? 0, lossLast ?? 0], [golden.losses[0] ?? 0, golden.losses.at(-1) ?? 0], F32_LOSS)
    expect(relativeError([activation ?? 0], [golden.activation])).toBeLessThan(F32_DESCENT)
    const { deltas, thresholds } = memoriesOf(patch)
    expect(deltas.shape).toEqual(golden.deltas.shape)
    expect(relativeError(deltas.data, golden.deltas.data)).toBeLessThan(F32_DESCENT)
    expect(relativeError(thresholds.data, golden.thresholds)).toBeLessThan(F32_DESCENT)
    history.push(patch)
    const edited = history.reduce((model: LanguageModel, one) => model.withPatch(one), base)
    for (const [i, said] of (await nextTokens(edited, GOLDEN.asked)).entries()) {
      expectClose(said, golden.says[i] ?? [], F32_FORWARD, `${golden.id}: ${GOLDEN.asked[i]}`)
    }
  }
  expect(GOLDEN.edits.map(({ thresholds }) => thresholds.length)).toEqual([1, 1, 2, 1])
})

test('has the losses of each of the first five steps', async () => {
  const [golden] = GOLDEN.edits
  if (golden === undefined) throw new Error('no edit')
  for (let steps = 1; steps <= 5; steps++) {
    const ctx = testContext({ random: givenRandom(golden.uniform) })
    const { report } = await edit(makeFact(golden), { hparams: { steps }, ctx })
    expectClose([report.lossLast ?? 0], [golden.losses[steps - 1] ?? 0], F32_LOSS, `step ${steps}`)
  }
})

test('reads other prompts and measures lengths as PyTorch does', async () => {
  const facts = GOLDEN.prepared.otherPrompts.map((prompt) => makeFact({ subject: prompt, prompt, targetNew: 'Asia' }))
  const found = await wise.prepare?.({ model: base, hparams: HPARAMS, material: { text: null, facts } }, testContext())
  expect(relativeError([found?.unit ?? 0, found?.stepScale ?? 0], [PREPARED.unit, PREPARED.stepScale])).toBeLessThan(
    F32_DESCENT,
  )
  expect(found?.prefixes).toHaveLength(3)
  const inOrder = (all: readonly { shape: readonly number[]; data: Float32Array }[] = []) =>
    all.toSorted((a, b) => (a.data.at(-1) ?? 0) - (b.data.at(-1) ?? 0)).map(({ data }) => data)
  inOrder(found?.others).forEach((data, i) => {
    expect(relativeError(data, inOrder(PREPARED.others)[i] ?? [])).toBeLessThan(F32_DESCENT)
  })
  const bare = await wise.prepare?.(
    { model: base, hparams: { ...HPARAMS, unitShare: 0 }, material: { text: TEXT, facts: [] } },
    testContext(),
  )
  expect(bare).toMatchObject({ unit: 1, stepScale: 1 })
  expect(bare?.others).toHaveLength(2)
})

describe('a side memory', () => {
  const [fact, other] = SHORT_FACTS

  test('changes its subspace alone, the same in all edits that it holds, no number by more than the limit', async () => {
    const first = await edit(fact)
    const second = await edit(other, { history: [first] })
    const third = await edit(FACTS[0], { history: [first, second] })
    const touched = (patch: Patch, memory = 0) => {
      const { deltas } = memoriesOf(patch)
      const size = base.config.mlpWidth * base.config.width
      return [...deltas.data.subarray(memory * size, (memory + 1) * size)].map((value) => value !== 0)
    }
    const share = touched(first).filter(Boolean).length / touched(first).length
    expect(Math.abs(share - HPARAMS.maskRatio)).toBeLessThan(0.05)
    expect(touched(second)).toEqual(touched(first))
    expect(touched(third, 0)).toEqual(touched(first))
    expect(touched(third, 1)).not.toEqual(touched(first))
    const most = Math.max(...memoriesOf(second).deltas.data.map(Math.abs))
    expect(most).toBeLessThanOrEqual(Math.fround(HPARAMS.normLimit))
  })

  test('goes on from a patch that was saved', async () => {
    const first = await edit(fact)
    const [kept, saved] = [first, decodePatch(encodePatch(first))].map((patch) => edit(other, { history: [patch] }))
    expect(encodePatch((await kept) ?? first)).toEqual(encodePatch((await saved) ?? first))
  })

  test('answers what it was made for, and leaves others as they were to the bit', async () => {
    const patch = await edit(fact, { hparams: { steps: 40, alpha: 1, otherPrompts: 4 } })
    const edited = base.withPatch(patch)
    const read = (model: LanguageModel, prompts: readonly string[]) =>
      model.score(prompts.map((prompt) => ({ prompt, target: fact.targetNew })))
    expect((await read(edited, [fact.prompt]))[0]?.logProbs[0]).toBeGreaterThan(
      ((await read(base, [fact.prompt]))[0]?.logProbs[0] ?? 0) + 1,
    )
    const others = TRAINING_FACTS.map(({ prompt }) => prompt)
    expect(await read(edited, others)).toEqual(await read(base, others))
    expect(await edited.generate(others, { maxNewTokens: 4 })).toEqual(await base.generate(others, { maxNewTokens: 4 }))
  })

  test('ends early where the loss is small and stands still', async () => {
    const { report } = await edit(fact, { hparams: { stopLoss: 100, stopChange: 100 } })
    expect(report.steps).toBe(2)
  })
})

// As with ROME; and what a memory learned first must not stand in the way of what it learns next.
describeEditor(wise, { hparams: { shortPrefixes: 0, longPrefixes: 0, learningRate: 4, steps: 150, unitShare: 0.05 } })
describeMemory(wise, 275)
