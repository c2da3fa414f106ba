import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import { loadHparams } from '../../src/editors/hparams.ts'
import { type MendHparams, type MendPreparation, mend, openTraining } from '../../src/editors/mend.ts'
import type { EditExample } from '../../src/editors/steps/edit-examples.ts'
import { type EditorNetworks, openNetworks, startNetworks } from '../../src/editors/steps/gradient-networks.ts'
import { feedForwardWeights, lastLayers } from '../../src/editors/steps/last-blocks.ts'
import { tokenizeTarget } from '../../src/editors/steps/target-tokens.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LowRankPart, Patch } from '../../src/models/patch.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS, makeFact, SHORT_FACTS, TRAINING_FACTS } from '../support/tiny-facts.ts'
import { contextStoppedAt, openTinyModel, testContext } from '../support/tiny-model.ts'

/** Gradients of gradients' rows: float32 over four layers, there and back, and divided by what little they vary. */
const F32_GRADIENT = 1e-3
const F32_LOSS = 5

type Asked = [prompt: string, target: string]
interface Golden {
  settings: Pick<MendHparams, 'blocks' | 'rank' | 'editWeight' | 'localityWeight'>
  training: { edit: Asked; follower: Asked; bystander: Asked }[]
  rates: number[]
  loss: number
  rateGradients: number[]
  groups: {
    arrays: Record<string, number[]>
    gradients: Record<string, number[]>
    count: number
    mean: number[]
    squares: number[]
  }[]
  edit: Asked
  editLoss: number
  rows: number[]
  deltas: number[][]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/mend.json', import.meta.url), 'utf8'))
/** Found by trying: what so small a model learns from in a second. */
const QUICK = { rank: 16, learningRate: 1e-3, rateLearningRate: 1e-3, batchSize: 3, mostSteps: 12, judgeEvery: 4 }

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const settings = (set: Partial<MendHparams> = {}) => loadHparams(mend, model.config, { ...QUICK, ...set })
const prepare = async (ctx: Context = testContext(), facts: readonly Fact[] = TRAINING_FACTS) => {
  const prepared = await mend.prepare?.({ model, hparams: await settings(), material: { text: null, facts } }, ctx)
  if (prepared === undefined) throw new Error('expected a preparation')
  return prepared
}
const edit = async (prepared: MendPreparation, facts: readonly Fact[]) =>
  mend.edit({ model, facts, hparams: await settings(), prepared, history: [] }, testContext())
const changesOf = ({ parts }: Patch) => (parts as readonly LowRankPart[]).map(multiplyOut)

function multiplyOut({ left, right }: LowRankPart): Float64Array {
  const [[into = 0, rank = 0], out] = [left.shape, right.shape[1] ?? 0]
  const sum = new Float64Array(into * out)
  for (let i = 0; i < into; i++) {
    for (let j = 0; j < out; j++) {
      for (let r = 0; r < rank; r++) {
        sum[i * out + j] = (sum[i * out + j] ?? 0) + (left.data[i * rank + r] ?? 0) * (right.data[r * out + j] ?? 0)
      }
    }
  }
  return sum
}

describe('against PyTorch', () => {
  let networks: EditorNetworks

  beforeAll(async () => {
    const hparams = await settings(GOLDEN.settings)
    const weights = feedForwardWeights(model, lastLayers(model.config, hparams.blocks))
    networks = startNetworks(weights, hparams, createRandom(1))
    for (const [g, golden] of GOLDEN.groups.entries()) {
      for (const [name, values] of Object.entries(golden.arrays)) networks.groups[g]?.arrays[name]?.set(values)
    }
    networks.rates.set(GOLDEN.rates)
  })

  test('the first step of training: its loss, its gradients for every array, the moments after it', async () => {
    const force = ([prompt, target]: Asked) => tokenizeTarget(model.tokenizer, prompt, target)
    const learned: EditExample[] = []
    for (const { edit, follower, bystander } of GOLDEN.training) {
      learned.push({
        edit: await force(edit),
        checks: [{ follower: await force(follower), bystander: await force(bystander) }],
      })
    }
    const open = await openNetworks(networks)
    const hparams = await settings(GOLDEN.settings)
    const { signal } = testContext()
    const { learn } = openTraining({ model, networks, open, hparams, learned, held: [] }, signal)
    const { loss, gradients } = await learn([0, 1], createRandom(1)).finally(open.close)

    expect(loss).toBeCloseTo(GOLDEN.loss, F32_LOSS)
    expect(relativeError(gradients.rates ?? [], GOLDEN.rateGradients)).toBeLessThan(F32_GRADIENT)
    for (const [g, golden] of GOLDEN.groups.entries()) {
      for (const [name, expected] of Object.entries(golden.gradients)) {
        expect(relativeError(gradients[`${name} of ${g}`] ?? [], expected), name).toBeLessThan(F32_GRADIENT)
      }
      const [count, ...rest] = networks.groups[g]?.moments ?? []
      expect(count).toBe(golden.count)
      expectClose(rest.slice(0, golden.mean.length), golden.mean, { relative: 1e-4 }, 'mean')
      expectClose(rest.slice(golden.mean.length), golden.squares, { relative: 1e-4 }, 'squares')
    }
  })

  test('an edit, with the moments that training left', async () => {
    const [prompt, targetNew] = GOLDEN.edit
    const training = { examples: 2, steps: 1, bestStep: 1, heldFirst: 0, heldBest: 0, seconds: 0 }
    const patch = await edit({ networks, training }, [makeFact({ subject: 'France', prompt, targetNew })])
    expect(patch.report.loss).toBeCloseTo(GOLDEN.editLoss, 4)
    expect((patch.parts as readonly LowRankPart[]).map(({ left }) => left.shape[1])).toEqual(GOLDEN.rows)
    changesOf(patch).forEach((change, i) => {
      expect(relativeError(change, GOLDEN.deltas[i] ?? [])).toBeLessThan(F32_GRADIENT)
    })
  })
})

describe('trained here', () => {
  test('follows what it learned: the loss of facts held out falls', async () => {
    const { training } = await prepare()
    expect(training.examples).toBe(TRAINING_FACTS.length - 1)
    expect(training.heldBest).toBeLessThanOrEqual(training.heldFirst)
  })

  test('the changes of several facts add up', async () => {
    const prepared = await prepare()
    const [one, two, both] = [
      changesOf(await edit(prepared, [SHORT_FACTS[0]])),
      changesOf(await edit(prepared, [SHORT_FACTS[1]])),
      changesOf(await edit(prepared, SHORT_FACTS)),
    ]
    both.forEach((change, i) => {
      const sum = one[i]?.map((value, at) => value + (two[i]?.[at] ?? 0))
      expect(relativeError(change, sum ?? [])).toBeLessThan(1e-4)
    })
  })

  test('a stopped training goes on where it was saved, and makes the same edits', async () => {
    const whole = await edit(await prepare(), FACTS)
    const stopped = contextStoppedAt(6)
    await expect(prepare(stopped)).rejects.toThrow()
    const steps: number[] = []
    const resumed = testContext({ cacheDir: stopped.cacheDir, progress: ({ done }) => steps.push(done) })
    expect(await edit(await prepare(resumed), FACTS)).toEqual(whole)
    expect(steps[0]).toBeGreaterThan(5)

    const again = testContext({
      cacheDir: stopped.cacheDir,
      progress: () => expect.unreachable('nothing is left to do'),
    })
    expect(await edit(await prepare(again), FACTS)).toEqual(whole)
  })

  test('other facts, other networks', async () => {
    const { cacheDir } = testContext()
    const [one, other] = [
      await prepare(testContext({ cacheDir })),
      await prepare(testContext({ cacheDir }), TRAINING_FACTS.slice(1)),
    ]
    expect(other.networks.rates).not.toEqual(one.networks.rates)
  })

  test('nothing to learn from is refused', async () => {
    await expect(prepare(testContext(), TRAINING_FACTS.slice(1, 2))).rejects.toMatchObject({ code: 'E_TRAINING_FACTS' })
  })
})

// Four facts, learned by heart: more is not to be had of random weights.
describeEditor(mend, {
  hparams: { rank: 16, learningRate: 1e-3, rateLearningRate: 1e-3, batchSize: 4, mostSteps: 25, judgeEvery: 25 },
  skip: {
    'goes on from its history':
      'its networks know gradients of the unedited model; of an edit after another the paper promises nothing, and of these random models one in ten refuses it',
  },
})
// Over its first 45 steps of training, of which each takes as much as any other.
describeMemory(mend, 538, { facts: 70 })
