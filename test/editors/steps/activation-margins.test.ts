import { expect, test } from 'vitest'
import { measureActivations, separateActivations } from '../../../src/editors/steps/activation-margins.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'

/** Central differences of float32 numbers. */
const F32_DIFFERENCE = { absolute: 2e-3 }
const rows = (width: number, ...values: number[]) => tensor(Float32Array.from(values), [values.length / width, width])

test('an activation is the mean length of the answers of a text, in units', () => {
  const answers = rows(2, 3, 4, 0, 1, 6, 8)
  expect(measureActivations(answers, [[0, 1], [2], [0, 2]], 2)).toEqual([1.5, 5, 3.75])
})

test('the loss counts what is on the wrong side of its margin, worked by hand', () => {
  // Activations: 6 and 2 meant, 1 and 5 not.
  const answers = rows(1, 6, 2, 1, 5)
  const { loss } = separateActivations(
    answers,
    { inside: [[0], [1]], outside: [[2], [3]] },
    { alpha: 3, beta: 4, gamma: 2, unit: 1 },
  )
  // Pairs: 2+1−6 and 2+5−6, 2+1−2 and 2+5−2: the mean of 1, 1 and 5. Above α: 5−3. Below β: 4−2.
  expect(loss).toBeCloseTo(7 / 3 + 2 + 2, 6)
})

test('is nothing, and has no slope, where all margins are kept or there is nothing to compare', () => {
  const answers = rows(1, 9, 1)
  const margins = { alpha: 2, beta: 8, gamma: 4, unit: 1 }
  for (const scope of [
    { inside: [[0]], outside: [[1]] },
    { inside: [[0]], outside: [] },
  ]) {
    const { loss, slopes } = separateActivations(answers, scope, margins)
    expect(loss).toBe(0)
    expect(slopes.data).toEqual(new Float32Array(2))
  }
})

test('its slopes are those of central differences; an answer of zero has none', () => {
  const random = createRandom('margins')
  const answers = rows(3, ...Array.from({ length: 18 }, () => random.normal()), 0, 0, 0)
  const scope = { inside: [[0, 1], [2]], outside: [[3, 4], [5], [6]] }
  const margins = { alpha: 0.5, beta: 4, gamma: 2, unit: 0.7 }
  const { slopes } = separateActivations(answers, scope, margins)
  const step = 1e-2
  const moved = (at: number, by: number): Tensor => {
    const data = answers.data.slice()
    data[at] = (data[at] ?? 0) + by
    return tensor(data, answers.shape)
  }
  const expected = Array.from({ length: 18 }, (_, at) => {
    const [up, down] = [step, -step].map((by) => separateActivations(moved(at, by), scope, margins).loss)
    return ((up ?? 0) - (down ?? 0)) / (2 * step)
  })
  expectClose(slopes.data.subarray(0, 18), expected, F32_DIFFERENCE)
  expect(slopes.data.subarray(18)).toEqual(new Float32Array(3))
})
