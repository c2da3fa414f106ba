import { afterAll, beforeAll, expect, test } from 'vitest'
import { type NativeProduct, openNativeProduct } from '../../src/graph/products.ts'
import { factorCholesky, solvePositiveDefinite } from '../../src/tensor/linalg.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { expectClose } from '../support/close.ts'

let product: NativeProduct
beforeAll(async () => {
  product = await openNativeProduct({ threads: 1 })
})
afterAll(() => product.close())

test('gives c − aᵀ·b', async () => {
  const a = Float64Array.of(1, 2, 3, 4, 5, 6) // [3, 2]
  const b = Float64Array.of(1, 0, 0, 1, 1, 1) // [3, 2]
  const y = await product.multiplyInto(Float64Array.of(10, 10, 10, 10), a, b, { k: 3, m: 2, n: 2 })
  expect([...y]).toEqual([10 - 6, 10 - 8, 10 - 8, 10 - 10])
})

test('factors as the plain product does, over several blocks', async () => {
  const size = 300
  const random = createRandom(1)
  const rows = Float64Array.from({ length: size * size }, () => random.normal())
  const matrix = new Float64Array(size * size)
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      for (let k = 0; k < size; k++) {
        matrix[i * size + j] = (matrix[i * size + j] ?? 0) + (rows[k * size + i] ?? 0) * (rows[k * size + j] ?? 0)
      }
    }
  }
  const plain = await factorCholesky(matrix, size)
  const native = await factorCholesky(matrix, size, product.multiplyInto)
  expectClose(native.upper, plain.upper, { relative: 1e-10 })
  const b = Float64Array.from({ length: size }, (_, i) => Math.sin(i))
  expect(solvePositiveDefinite(matrix, native, b).residual).toBeLessThan(1e-10)
})
