import { expect, test } from 'vitest'
import { answerOwnInputs, keepQuiet, type UnitKeys, type UnitLoss } from '../../../src/editors/steps/unit-losses.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'

/** Central differences of a float32 array, steps of a thousandth. */
const DIFFERENCES = { relative: 2e-3 }
const STEP = 2 ** -10

const random = createRandom('unit losses')
const draw = (...shape: [number, number]): Tensor =>
  tensor(
    Float32Array.from({ length: shape[0] * shape[1] }, () => 0.5 * random.normal()),
    shape,
  )
const D = 5
const keys: UnitKeys = { input: draw(D, 3), biases: tensor(Float32Array.of(0.25, -0.5, 0), [3]) }
const own = draw(3, D)
const stored = draw(20, D)
const job = { stored, own, distance: 3, ceiling: -3 }

const LOSSES: [string, (keys: UnitKeys) => UnitLoss][] = [
  ['answer at own inputs', (at) => answerOwnInputs(at, own, 0.5)],
  ['quiet, some', (at) => keepQuiet(at, { ...job, top: 7 })],
  ['quiet, all', (at) => keepQuiet(at, { ...job, top: 1000 })],
]

test.each(LOSSES)('%s: the gradient is that of differences', (_, lossOf) => {
  const { input, biases } = lossOf(keys)
  const differences = (name: 'input' | 'biases') =>
    Array.from(keys[name].data, (_value, i) => {
      const moved = (by: number) => {
        const data = keys[name].data.slice()
        data[i] = (data[i] ?? 0) + by
        return lossOf({ ...keys, [name]: tensor(data, keys[name].shape) }).loss
      }
      return (moved(STEP) - moved(-STEP)) / (2 * STEP)
    })
  expectClose(input, differences('input'), DIFFERENCES, 'input')
  expectClose(biases, differences('biases'), DIFFERENCES, 'biases')
})

test('are what a hand computes', () => {
  // One unit that reads the first number: it answers 2 at its own input, 1 and −1 at the stored ones.
  const one: UnitKeys = { input: tensor(Float32Array.of(1, 0), [2, 1]), biases: tensor(Float32Array.of(0), [1]) }
  const [mine, others] = [tensor(Float32Array.of(2, 5), [1, 2]), tensor(Float32Array.of(1, 7, -1, 7), [2, 2])]
  expect(answerOwnInputs(one, mine, 1).loss).toBeCloseTo(Math.exp(-1), 6)
  const quiet = (top: number) => keepQuiet(one, { stored: others, own: mine, top, distance: 3, ceiling: -3 }).loss
  expect(quiet(1)).toBeCloseTo(Math.exp(2) + Math.exp(4), 3)
  expect(quiet(9)).toBeCloseTo((Math.exp(2) + Math.exp(0) + Math.exp(4) + Math.exp(2)) / 2, 3)
})

test('a loss that is not finite does not pass', () => {
  const loud: UnitKeys = { input: tensor(Float32Array.of(1e30, 0), [2, 1]), biases: tensor(Float32Array.of(0), [1]) }
  const rows = tensor(Float32Array.of(1e8, 0), [1, 2])
  expect(() => keepQuiet(loud, { stored: rows, own: rows, top: 1, distance: 3, ceiling: -3 })).toThrow(
    expect.objectContaining({ code: 'E_NOT_FINITE' }),
  )
})
