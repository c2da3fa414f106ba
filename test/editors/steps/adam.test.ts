import { expect, test } from 'vitest'
import { createAdam } from '../../../src/editors/steps/adam.ts'

// torch.optim.Adam([1, -2, 0.5, 0], lr=0.1) of PyTorch 2.13, fed the same gradients. The third is as small as epsilon.
const GRADIENTS = [
  [0.1, -3, 1e-8, 0],
  [0.2, 4, 0, 0],
  [-0.5, 4, 1e-8, 0],
]
const EXPECTED = [
  [0.8999999761581421, -1.899999976158142, 0.45000001788139343, 0],
  [0.8034817576408386, -1.9193509817123413, 0.42224937677383423, 0],
  [0.831359326839447, -1.9709513187408447, 0.38548099994659424, 0],
]

test('takes the steps of torch.optim.Adam', () => {
  const parameters = Float32Array.of(1, -2, 0.5, 0)
  const adam = createAdam(4, 0.1)
  GRADIENTS.forEach((gradient, step) => {
    adam.step(parameters, Float32Array.from(gradient))
    EXPECTED[step]?.forEach((value, i) => {
      expect(parameters[i]).toBeCloseTo(value, 6)
    })
  })
})

test('takes a share of a step where a schedule says so', () => {
  const [whole, half] = [Float32Array.of(1, -2), Float32Array.of(1, -2)]
  createAdam(2, 0.05).step(whole, Float32Array.of(3, -4))
  createAdam(2, 0.1).step(half, Float32Array.of(3, -4), 0.5)
  expect(half).toEqual(whole)
})

test('keeps no state between two optimisers', () => {
  const one = Float32Array.of(1)
  createAdam(1, 0.1).step(one, Float32Array.of(5))
  const other = Float32Array.of(1)
  createAdam(1, 0.1).step(other, Float32Array.of(5))
  expect(other).toEqual(one)
})

test('goes on from what it remembers as if it had never stopped', () => {
  const gradients = GRADIENTS.map((gradient) => Float32Array.from(gradient))
  const [whole, resumed] = [Float32Array.of(1, -2, 0.5, 0), Float32Array.of(1, -2, 0.5, 0)]
  const [one, before, after] = [createAdam(4, 0.1), createAdam(4, 0.1), createAdam(4, 0.1)]
  for (const gradient of gradients) one.step(whole, gradient)
  for (const gradient of gradients.slice(0, 2)) before.step(resumed, gradient)
  after.state.first.set(before.state.first)
  after.state.second.set(before.state.second)
  after.state.steps = before.state.steps
  after.step(resumed, gradients[2] ?? new Float32Array())
  expect(resumed).toEqual(whole)
})
