import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import { loadHparams } from '../../src/editors/hparams.ts'
import { type KeExample, type KeHparams, type KeNetwork, ke, openNetwork, openTraining } from '../../src/editors/ke.ts'
import { readGates } from '../../src/editors/steps/condition-network.ts'
import { readConditions } from '../../src/editors/steps/edit-condition.ts'
import { tokenizeTarget } from '../../src/editors/steps/target-tokens.ts'
import { trainNetwork } from '../../src/editors/steps/train-network.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LowRankPart, Patch } from '../../src/models/patch.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS, makeFact, TRAINING_FACTS } from '../support/tiny-facts.ts'
import { contextStoppedAt, openTinyModel, testContext } from '../support/tiny-model.ts'

/** Gradients through the edited model, there and back, in float32. */
const F32_GRADIENT = 1e-3
const F32_LOSS = 5
/** Five steps of Adam, whose first are as long whatever the gradient: where that is all but zero, rounding decides their side. */
const F32_TRAJECTORY = 1e-3

type Asked = [prompt: string, target: string]
interface Golden {
  settings: Partial<KeHparams>
  training: { edit: Asked; follower: Asked; bystander: Asked }[]
  conditions: number[][]
  arrays: Record<string, number[]>
  gradients: Record<string, number[]>
  losses: number[]
  multiplier: number
  edit: Asked
  editLoss: number
  said: number[][]
  deltas: number[][]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/ke.json', import.meta.url), 'utf8'))
/** Found by trying: what so small a model learns from in a second. */
const QUICK = { hidden: 8, condition: 8, learningRate: 1e-2, batchSize: 3, mostSteps: 12, judgeEvery: 4 }

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const settings = (set: Partial<KeHparams> = {}) => loadHparams(ke, model.config, { ...QUICK, ...set })
const prepare = async (ctx: Context = testContext(), facts: readonly Fact[] = TRAINING_FACTS) => {
  const prepared = await ke.prepare?.({ model, hparams: await settings(), material: { text: null, facts } }, ctx)
  if (prepared === undefined) throw new Error('expected a preparation')
  return prepared
}
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

async function readExample({ edit, follower, bystander }: Golden['training'][number]): Promise<KeExample> {
  const force = ([prompt, target]: Asked) => tokenizeTarget(model.tokenizer, prompt, target)
  return {
    fact: { prompt: edit[0], targetNew: edit[1] },
    edit: await force(edit),
    checks: [{ follower: await force(follower), bystander: await force(bystander) }],
  }
}

describe('against PyTorch', () => {
  let network: KeNetwork
  let hparams: KeHparams
  let learned: KeExample[]

  beforeAll(async () => {
    hparams = await settings({ ...GOLDEN.settings, judgeEvery: 5 })
    learned = await Promise.all(GOLDEN.training.map(readExample))
    network = openNetwork(model, hparams, createRandom(1))
    expect(Object.keys(network.arrays).sort()).toEqual(Object.keys(GOLDEN.arrays).sort())
    for (const [name, values] of Object.entries(GOLDEN.arrays)) network.arrays[name]?.set(values)
  })
  const { signal } = testContext()
  const asFact = ([prompt, targetNew]: Asked) => makeFact({ subject: prompt.split(' ')[0] ?? '', prompt, targetNew })

  test('what the network is told: the words with the model’s own prediction', async () => {
    const found = await readConditions(
      model,
      GOLDEN.training.map(({ edit }) => asFact(edit)),
      signal,
    )
    expect(found.map((condition) => [...condition])).toEqual(GOLDEN.conditions)
  })

  test('what it says of each weight, and the change that follows', async () => {
    const [condition = []] = await readConditions(model, [asFact(GOLDEN.edit)], signal)
    const { value } = readGates(network.arrays, await model.tokenVectors([...condition]), network.weights.length)
    value.forEach((gates, i) => {
      expectClose(gates, GOLDEN.said[i] ?? [], { relative: 1e-5 }, `of weight ${i}`)
    })
    const training = { examples: 2, steps: 1, bestStep: 1, heldFirst: 0, heldBest: 0, seconds: 0 }
    const prepared = { network, training }
    const job = { model, facts: [asFact(GOLDEN.edit)], hparams, prepared, history: [] }
    const patch = await ke.edit(job, testContext())
    expect(patch.report.loss).toBeCloseTo(GOLDEN.editLoss, 4)
    changesOf(patch).forEach((change, i) => {
      expect(relativeError(change, GOLDEN.deltas[i] ?? [])).toBeLessThan(F32_GRADIENT)
    })
  })

  test('the first step of training: its loss, and its gradients for every array and the multiplier', async () => {
    const { learn } = openTraining({ model, network, hparams, learned, held: [] }, signal)
    const { loss, gradients } = await learn([0, 1], createRandom(1))
    expect(loss).toBeCloseTo(GOLDEN.losses[0] ?? 0, F32_LOSS)
    for (const [name, expected] of Object.entries(GOLDEN.gradients)) {
      expect(relativeError(gradients[name] ?? [], expected), name).toBeLessThan(F32_GRADIENT)
    }
  })

  test('five steps of training: the same losses, the same multiplier', async () => {
    const trainee = openTraining({ model, network, hparams, learned, held: learned.slice(0, 1) }, signal)
    const losses: number[] = []
    const ctx = testContext({ progress: ({ loss = Number.NaN }) => losses.push(loss) })
    await trainNetwork({ trainee, examples: learned.length, schedule: hparams, name: 'ke', key: 'golden' }, ctx)
    expectClose(losses, GOLDEN.losses, { relative: F32_TRAJECTORY })
    // All five, not the first alone: the loss moves by more than what is allowed.
    expect((GOLDEN.losses[0] ?? 0) - (GOLDEN.losses[4] ?? 0)).toBeGreaterThan(20 * F32_TRAJECTORY * (losses[0] ?? 0))
    expectClose(network.multiplier, [GOLDEN.multiplier], { relative: F32_TRAJECTORY })
  })
})

describe('trained here', () => {
  test('the multiplier falls to almost nothing where nothing else moves, and no lower', async () => {
    const hparams = await settings({ ...GOLDEN.settings, margin: 100 })
    const network = openNetwork(model, hparams, createRandom(1))
    network.multiplier[0] = -0.5
    const learned = await Promise.all(GOLDEN.training.map(readExample))
    const { learn } = openTraining({ model, network, hparams, learned, held: [] }, testContext().signal)
    const { loss, gradients } = await learn([0, 1], createRandom(1))
    expect(network.multiplier[0]).toBeCloseTo(1e-6, 12)
    // The constraint holds by far: λ is to sink, by what is left of the margin.
    expect(gradients.multiplier?.[0]).toBeCloseTo(100, 0)
    expect(loss).toBeGreaterThan(0)
  })

  test('the margin narrows when held-out edits succeed, and to its least', async () => {
    const hparams = await settings({ margin: 1, leastMargin: 0.7 })
    const network = openNetwork(model, hparams, createRandom(1))
    const [example] = await Promise.all(GOLDEN.training.map(readExample))
    if (example === undefined) throw new Error('expected an example')
    // What the model says anyway after the other wording.
    const { follower, bystander } = example.checks[0]
    const [said] = await model.generate([GOLDEN.training[0]?.follower[0] ?? ''], { maxNewTokens: 1 })
    const target = Int32Array.from(said?.ids ?? [])
    const certain = { prompt: follower.prompt, target, row: follower.prompt }
    const easy: KeExample = { ...example, checks: [{ follower: certain, bystander }] }
    for (const values of Object.values(network.arrays)) values.fill(1e-9)
    const judge = (held: readonly KeExample[]) =>
      openTraining({ model, network, hparams, learned: [], held }, testContext().signal).judge()
    await judge([easy, example])
    expect(network.margin[0]).toBe(1)
    await judge([easy])
    expect(network.margin[0]).toBeCloseTo(0.8, 12)
    await judge([easy])
    expect(network.margin[0]).toBe(0.7)
  })

  test('follows what it learned: the loss of facts held out falls', async () => {
    const { training } = await prepare()
    expect(training.examples).toBe(TRAINING_FACTS.length - 1)
    expect(training.heldBest).toBeLessThanOrEqual(training.heldFirst)
  })

  test('a stopped training goes on where it was saved, and makes the same edits', async () => {
    const edit = async (prepared: Awaited<ReturnType<typeof prepare>>) =>
      ke.edit({ model, facts: FACTS.slice(0, 1), hparams: await settings(), prepared, history: [] }, testContext())
    const whole = await edit(await prepare())
    const stopped = contextStoppedAt(6)
    await expect(prepare(stopped)).rejects.toThrow()
    const resumed = testContext({ cacheDir: stopped.cacheDir })
    expect(await edit(await prepare(resumed))).toEqual(whole)
    const again = testContext({
      cacheDir: stopped.cacheDir,
      progress: () => expect.unreachable('nothing is left to do'),
    })
    expect(await edit(await prepare(again))).toEqual(whole)
  })

  test('nothing to learn from is refused', async () => {
    await expect(prepare(testContext(), TRAINING_FACTS.slice(1, 2))).rejects.toMatchObject({ code: 'E_TRAINING_FACTS' })
  })
})

// Four facts, learned by heart: more is not to be had of random weights.
describeEditor(ke, {
  hparams: { hidden: 8, condition: 16, learningRate: 0.02, batchSize: 3, mostSteps: 12, judgeEvery: 12 },
})
// Over its first 50 steps of training, of which each takes as much as any other; by then it has met so many facts.
describeMemory(ke, 617, { facts: 150 })
