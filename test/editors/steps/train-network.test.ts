import { existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Context, ProgressEvent } from '../../../src/context.ts'
import {
  holdOut,
  type ScheduleHparams,
  type Trainee,
  type TrainNetworkJob,
  trainNetwork,
} from '../../../src/editors/steps/train-network.ts'
import { testContext } from '../../support/tiny-model.ts'

const SCHEDULE: ScheduleHparams = { batchSize: 2, mostSteps: 40, judgeEvery: 5, patience: 2, longestGradient: 100 }
/** Each example wants the parameters to be its own point; the mean is best. */
const POINTS = [
  [1, 2],
  [3, 2],
  [1, 4],
  [3, 4],
] as const

interface Watched extends Trainee {
  readonly batches: (readonly number[])[]
  readonly gradients: Float32Array[]
}

/** Learns the mean of points; `held` says the held-out loss after so many looks. */
function makeTrainee(held?: readonly number[]): Watched {
  const values = Float32Array.of(0, 0)
  const seen = Float64Array.of(0)
  const batches: (readonly number[])[] = []
  const gradients: Float32Array[] = []
  let looks = 0
  return {
    batches,
    gradients,
    parameters: { point: { values, learningRate: 0.2 } },
    gathered: { seen },
    async learn(batch) {
      batches.push(batch)
      seen[0] = (seen[0] ?? 0) + batch.length
      const slopes = [0, 1].map((d) =>
        batch.reduce((sum, i) => sum + ((values[d] ?? 0) - (POINTS[i]?.[d] ?? 0)) / batch.length, 0),
      )
      gradients.push(Float32Array.from(slopes))
      return {
        loss: slopes.reduce((sum, slope) => sum + slope ** 2, 0),
        gradients: { point: Float32Array.from(slopes) },
      }
    },
    async judge() {
      const found = held?.[looks]
      looks += 1
      return found ?? ((values[0] ?? 0) - 2) ** 2 + ((values[1] ?? 0) - 3) ** 2
    },
  }
}

const newFolder = () => mkdtempSync(join(tmpdir(), 'whichedit-trained-'))
const train = (trainee: Trainee, job: Partial<TrainNetworkJob> = {}, ctx: Context = testContext()) =>
  trainNetwork({ trainee, examples: POINTS.length, schedule: SCHEDULE, key: 'key', name: 'points', ...job }, ctx)

test('learns, dealing every example once before any comes again', async () => {
  const trainee = makeTrainee()
  const { steps, bestStep, heldFirst, heldBest } = await train(trainee)
  expect(heldBest).toBeLessThan(heldFirst)
  expect(bestStep).toBeLessThanOrEqual(steps)
  expect(trainee.parameters.point?.values[0]).toBeCloseTo(2, 0)
  for (let at = 0; at + 1 < trainee.batches.length; at += 2) {
    expect([...(trainee.batches[at] ?? []), ...(trainee.batches[at + 1] ?? [])].sort()).toEqual([0, 1, 2, 3])
  }
})

test('ends when the held-out loss no longer falls, with what was best', async () => {
  const trainee = makeTrainee([9, 5, 6, 5, 1])
  expect(await train(trainee)).toMatchObject({ steps: 20, bestStep: 10, heldFirst: 9, heldBest: 5 })
  const atTen = makeTrainee([9])
  await train(atTen, { schedule: { ...SCHEDULE, mostSteps: 10 } })
  expect(trainee.parameters.point?.values).toEqual(atTen.parameters.point?.values)
  expect(trainee.gathered.seen?.[0]).toBe(20)
})

test('ends after the most steps, with a look at the last', async () => {
  const trainee = makeTrainee([9, 5, 1])
  expect(await train(trainee, { schedule: { ...SCHEDULE, mostSteps: 7 } })).toMatchObject({
    steps: 7,
    bestStep: 7,
    heldFirst: 9,
    heldBest: 5,
  })
})

test('cuts gradients to a length, which for one batch changes no step of Adam but the next', async () => {
  const [cut, whole] = [makeTrainee(), makeTrainee()]
  await train(cut, { schedule: { ...SCHEDULE, mostSteps: 2, longestGradient: 0.5 } })
  await train(whole, { schedule: { ...SCHEDULE, mostSteps: 2 } })
  expect(Math.hypot(...(whole.gradients[0] ?? []))).toBeGreaterThan(0.5)
  expect(cut.parameters.point?.values[0]).toBeCloseTo(whole.parameters.point?.values[0] ?? 0, 1)
  expect(cut.parameters.point?.values).not.toEqual(whole.parameters.point?.values)
})

test('what is trained already is found by its key', async () => {
  const cacheDir = newFolder()
  const first = makeTrainee()
  const training = await train(first, {}, testContext({ cacheDir }))
  const again = makeTrainee()
  expect(await train(again, {}, testContext({ cacheDir }))).toEqual(training)
  expect(again.batches).toEqual([])
  expect(again.parameters).toEqual(first.parameters)
  expect(again.gathered).toEqual(first.gathered)
  await train(again, { key: 'other' }, testContext({ cacheDir }))
  expect(again.batches.length).toBeGreaterThan(0)
})

test('a job that was stopped goes on from its last save, through the same numbers', async () => {
  const whole = makeTrainee()
  const training = await train(whole)
  const cacheDir = newFolder()
  const reason = new Error('stopped')
  // Ten seconds a look at the clock: a save at every second step.
  const clock = () => {
    let ms = 0
    return () => {
      ms += 10_001
      return ms
    }
  }
  const stop = new AbortController()
  const progress = ({ done }: ProgressEvent) => {
    if (done === 13) stop.abort(reason)
  }
  const stopped = testContext({ cacheDir, progress, signal: stop.signal, now: clock() })
  await expect(train(makeTrainee(), {}, stopped)).rejects.toBe(reason)
  expect(readdirSync(join(cacheDir, 'trained'))).toEqual(['points-key.bin.part'])

  const resumed = makeTrainee()
  const { seconds, ...rest } = training
  expect(await train(resumed, {}, testContext({ cacheDir }))).toMatchObject(rest)
  expect(seconds).toBeGreaterThan(0)
  expect(resumed.batches.length).toBeLessThan(training.steps - 10)
  expect(resumed.parameters).toEqual(whole.parameters)
  expect(resumed.gathered).toEqual(whole.gathered)
  expect(existsSync(join(cacheDir, 'trained/points-key.bin.part'))).toBe(false)
})

test('tells its loss as it goes', async () => {
  const events: ProgressEvent[] = []
  await train(makeTrainee(), {}, testContext({ progress: (event) => events.push(event) }))
  expect(events[0]).toMatchObject({ task: 'points', done: 1, total: 40, unit: 'steps' })
  expect(events.every(({ loss }) => loss !== undefined && Number.isFinite(loss))).toBe(true)
})

test('a loss that is no number ends it', async () => {
  await expect(train(makeTrainee([Number.NaN]))).rejects.toMatchObject({ code: 'E_NOT_FINITE' })
})

test.each([
  [1, 1, 1],
  [4, 3, 1],
  [20, 18, 2],
  [1000, 968, 32],
])('of %i examples, %i are learned from and %i held out', (count, learned, held) => {
  const dealt = holdOut(Array.from({ length: count }, (_, i) => i))
  expect([dealt.learned.length, dealt.held.length]).toEqual([learned, held])
})
