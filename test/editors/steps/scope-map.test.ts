import { describe, expect, test } from 'vitest'
import {
  boundFor,
  type MapJob,
  measureScope,
  openMap,
  type Pair,
  type ScopePairs,
  scopeLoss,
  trainMap,
} from '../../../src/editors/steps/scope-map.ts'
import { unitRows } from '../../../src/tensor/linalg.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { testContext } from '../../support/tiny-model.ts'

const WIDTH = 6
/**
 * Edits and queries as sums of a subject, which says what is asked about, and of a wording, which says nothing: of every subject two
 * wordings, so that rows 2s and 2s + 1 are of one fact.
 */
function subjects(count: number, seed: number): Tensor {
  const random = createRandom(seed)
  const rows = Array.from({ length: count }, () => [random.normal(), random.normal(), random.normal()])
  const data = rows.flatMap((subject) =>
    [1, -1].flatMap((sign) => [...subject, sign * 2, sign * random.normal(), random.normal()]),
  )
  return unitRows(tensor(Float32Array.from(data), [2 * count, WIDTH]))
}
const pairs = (from: number, to: number): ScopePairs => {
  const all = Array.from({ length: to - from }, (_, i) => from + i)
  return {
    inScope: all.map((i) => [2 * i, 2 * i + 1]),
    outOfScope: all.flatMap((i) => all.filter((j) => j !== i).map((j) => [2 * i, 2 * j] as const)),
  }
}
const JOB: MapJob = {
  vectors: subjects(16, 3),
  training: pairs(0, 12),
  held: pairs(12, 16),
  dimensions: WIDTH,
  learningRate: 0.05,
  steps: 100,
  batchSize: 16,
}
const NONE: ScopePairs = { inScope: [], outOfScope: [] }

describe('the loss of a map', () => {
  test('has the gradient of central differences', () => {
    const map = openMap({ ...JOB, dimensions: 3 }, createRandom(1))
    const { gradient } = scopeLoss(map, JOB.vectors, JOB.training)
    const step = 1e-3
    for (const at of [0, 4, 11, 17]) {
      const moved = [step, -step].map((by) => {
        const data = map.data.slice()
        data[at] = (data[at] ?? 0) + by
        return scopeLoss(tensor(data, map.shape), JOB.vectors, JOB.training).loss
      })
      expect(gradient[at]).toBeCloseTo(((moved[0] ?? 0) - (moved[1] ?? 0)) / (2 * step), 3)
    }
  })

  test('by hand: a pair in scope costs its squared distance, one out of it −log(1 − exp of minus that)', () => {
    const vectors = tensor(Float32Array.of(1, 0, 0, 1), [2, 2])
    const map = tensor(Float32Array.of(0.5, 0, 0, 1), [2, 2]) // distance² = 0.25 + 1
    expect(scopeLoss(map, vectors, { ...NONE, inScope: [[0, 1]] }).loss).toBeCloseTo(1.25, 6)
    expect(scopeLoss(map, vectors, { ...NONE, outOfScope: [[0, 1]] }).loss).toBeCloseTo(
      -Math.log(1 - Math.exp(-1.25)),
      6,
    )
    expect(
      measureScope(map, vectors, {
        inScope: [
          [0, 1],
          [0, 0],
        ],
        outOfScope: [],
      }).inScope,
    ).toBe(0.5)
  })

  test('stays finite where two texts out of scope have one vector, and is refused where it is not', () => {
    const map = openMap(JOB, createRandom(1))
    const { loss, gradient } = scopeLoss(map, JOB.vectors, { ...NONE, outOfScope: [[1, 1]] })
    expect(Number.isFinite(loss)).toBe(true)
    expect(gradient.every((value) => value === 0)).toBe(true)
    const broken = tensor(
      map.data.map(() => Number.NaN),
      map.shape,
    )
    expect(() => scopeLoss(broken, JOB.vectors, JOB.training)).toThrow(
      expect.objectContaining({ code: 'E_NOT_FINITE' }),
    )
  })
})

test('a bound lets no more than a share of pairs pass, and is never less than asked', () => {
  const vectors = tensor(Float32Array.of(0, 1, 2, 3, 4), [5, 1])
  const map = tensor(Float32Array.of(0.5), [1, 1])
  const all: Pair[] = [1, 2, 3, 4].map((query) => [0, query])
  const bound = (share: number, least = 0) => boundFor(map, vectors, all, { share, least })
  expect(bound(0)).toBeCloseTo(Math.exp(-0.25), 6)
  expect(bound(0.25)).toBeCloseTo(Math.exp(-1), 6)
  expect(bound(0.49)).toBe(bound(0.25))
  expect(bound(1)).toBe(0)
  expect(bound(0.25, 0.5)).toBe(0.5)
  expect(boundFor(map, vectors, [[1, 1]], { share: 0, least: 0.5 })).toBeLessThan(1)
  expect(boundFor(map, vectors, [], { share: 0, least: 0.5 })).toBe(0.5)
  expect(
    all.filter((pair) => measureScope(map, vectors, { inScope: [pair], outOfScope: [] }, bound(0.25)).inScope > 0),
  ).toEqual([[0, 1]])
})

describe('a map', () => {
  test('starts as the vectors are, so wide that half the likeness lies between near and far', () => {
    const map = openMap(JOB, createRandom(1))
    const [scale = 0] = map.data
    expect([...map.data]).toEqual(Array.from(map.data, (_, i) => (i % (WIDTH + 1) === 0 ? scale : 0)))
    const mean = (kind: keyof ScopePairs) => scopeLoss(map, JOB.vectors, { ...NONE, inScope: JOB.training[kind] }).loss
    expect(mean('inScope') * mean('outOfScope')).toBeCloseTo(Math.LN2 ** 2, 5)
  })

  test('of fewer dimensions starts as a projection of its own seed', () => {
    const narrow = { ...JOB, dimensions: 2 }
    expect(openMap(narrow, createRandom(1)).shape).toEqual([WIDTH, 2])
    expect(openMap(narrow, createRandom(1))).toEqual(openMap(narrow, createRandom(1)))
    expect(openMap(narrow, createRandom(1))).not.toEqual(openMap(narrow, createRandom(2)))
  })

  test('learns what makes a fact, for facts that it was not trained on', async () => {
    const before = measureScope(openMap(JOB, createRandom(1)), JOB.vectors, JOB.held)
    const { map, loss, steps } = await trainMap(JOB, testContext())
    const after = measureScope(map, JOB.vectors, JOB.held)
    expect(after.loss).toBeCloseTo(loss, 6)
    expect(after.loss).toBeLessThan(before.loss / 2)
    expect(after.inScope).toBe(1)
    expect(after.outOfScope).toBeLessThan(before.outOfScope)
    expect(steps % 10).toBe(0)
  })

  test('is the one that was best on the pairs held out', async () => {
    // What is in scope of these is out of scope of the others: training makes it worse, so the start is best.
    const contrary = { inScope: JOB.held.outOfScope, outOfScope: JOB.held.inScope }
    const random = createRandom(1)
    const { map, steps } = await trainMap({ ...JOB, held: contrary }, testContext({ random }))
    expect(steps).toBe(0)
    expect(map).toEqual(openMap(JOB, random.stream('scope map')))
    const last = await trainMap({ ...JOB, held: NONE }, testContext())
    expect(last.steps).toBe(JOB.steps)
  })

  test('is trained on what there is, and not at all in no steps', async () => {
    const { map } = await trainMap({ ...JOB, training: { ...JOB.training, inScope: [] }, held: NONE }, testContext())
    expect(map.data.every(Number.isFinite)).toBe(true)
    expect(
      (await trainMap({ ...JOB, training: NONE, held: NONE }, testContext())).map.data.every(Number.isFinite),
    ).toBe(true)
    expect((await trainMap({ ...JOB, steps: 0 }, testContext())).steps).toBe(0)
  })

  test('is not trained on after a stop', async () => {
    const stop = new AbortController()
    const steps: number[] = []
    const progress = ({ done }: { done: number }) => {
      steps.push(done)
      if (done === 5) setImmediate(() => stop.abort(new Error('enough')))
    }
    await expect(trainMap(JOB, testContext({ signal: stop.signal, progress }))).rejects.toThrow('enough')
    expect(steps.length).toBeLessThan(10)
  })
})
