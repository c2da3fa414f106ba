import { expect, test } from 'vitest'
import { startUniform } from '../../../src/editors/steps/traced-layers.ts'
import { lstmShapes, readBothWays } from '../../../src/editors/steps/two-way-lstm.ts'
import { dot } from '../../../src/tensor/linalg.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'
import { differences } from '../../support/differences.ts'

const [TOKENS, WIDTH, HIDDEN] = [4, 3, 2]
const random = createRandom(1)
const arrays = Object.fromEntries(
  Object.entries(lstmShapes(WIDTH, HIDDEN)).map(([name, shape]) => [name, startUniform(shape, 1, random)]),
)
const vectors = tensor(
  Float32Array.from({ length: TOKENS * WIDTH }, () => random.normal()),
  [TOKENS, WIDTH],
)

test('one step by hand', () => {
  // W x = (1, 2, 3, 4) of the gates i, f, g, o; the cell was empty, so the forget gate says nothing.
  const one = (numbers: readonly number[]) => Float32Array.from(numbers)
  const small = Object.fromEntries(
    ['forward', 'backward'].flatMap((way) => [
      [`${way} input`, one([1, 2, 3, 4])],
      [`${way} state`, one([0, 0, 0, 0])],
      [`${way} bias`, one([0, 0, 0, 0])],
    ]),
  )
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
  const expected = sigmoid(4) * Math.tanh(sigmoid(1) * Math.tanh(3))
  expectClose(readBothWays(small, tensor(one([1]), [1, 1])).value, [expected, expected], { relative: 1e-6 })
})

test('read from the other end, the two ways change places', () => {
  const turned = tensor(
    Float32Array.from({ length: TOKENS }, (_, t) => TOKENS - 1 - t).reduce(
      (all, row, t) => {
        all.set(vectors.data.subarray(row * WIDTH, (row + 1) * WIDTH), t * WIDTH)
        return all
      },
      new Float32Array(TOKENS * WIDTH),
    ),
    [TOKENS, WIDTH],
  )
  const swapped = Object.fromEntries(
    Object.entries(arrays).map(([name, values]) => [
      name.startsWith('forward') ? name.replace('forward', 'backward') : name.replace('backward', 'forward'),
      values,
    ]),
  )
  const { value } = readBothWays(arrays, vectors)
  const other = readBothWays(swapped, turned).value
  expectClose(other, [...value.slice(HIDDEN), ...value.slice(0, HIDDEN)], { relative: 1e-6 })
  expect([...other]).not.toEqual([...value])
})

test('the way back is that of central differences', () => {
  const slopes = Float64Array.from({ length: 2 * HIDDEN }, () => random.normal())
  const gradients = Object.fromEntries(
    Object.entries(arrays).map(([name, { length }]) => [name, new Float32Array(length)]),
  )
  readBothWays(arrays, vectors).back(slopes, gradients)
  for (const [name, values] of Object.entries(arrays)) {
    const expected = differences(values, () => dot(readBothWays(arrays, vectors).value, slopes))
    expectClose(gradients[name], expected, { absolute: 1e-4 }, name)
  }
})
