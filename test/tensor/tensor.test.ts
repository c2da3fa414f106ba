import { expect, test } from 'vitest'
import { joinRows, tensor } from '../../src/tensor/tensor.ts'

test('rows of several tensors lie one below the other, in a copy', () => {
  const first = tensor(Float32Array.of(1, 2, 3, 4), [2, 2])
  const joined = joinRows([first, tensor(new Float32Array(), [0, 2]), tensor(Float32Array.of(5, 6), [1, 2])], 2)
  expect(joined).toEqual(tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]))
  joined.data[0] = 9
  expect(first.data[0]).toBe(1)
})

test('rows of no tensors have a width all the same', () => {
  expect(joinRows([], 3).shape).toEqual([0, 3])
})

test('rows of another width are refused', () => {
  expect(() => joinRows([tensor(Float32Array.of(1, 2, 3), [1, 3])], 2)).toThrow(
    expect.objectContaining({ code: 'E_SHAPE' }),
  )
})
