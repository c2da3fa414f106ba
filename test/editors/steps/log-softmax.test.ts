import { expect, test } from 'vitest'
import { logSoftmaxRows } from '../../../src/editors/steps/log-softmax.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'

test('each row becomes log-probabilities, however large its logits are', () => {
  const { data, shape } = logSoftmaxRows(tensor(Float32Array.of(0, Math.log(3), 1000, 1000), [2, 2]))
  expect(shape).toEqual([2, 2])
  expectClose(data, [0.25, 0.75, 0.5, 0.5].map(Math.log), { absolute: 1e-6 })
})
