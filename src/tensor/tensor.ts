/** Numbers with a shape. Row-major, no strides, no I/O. */
import { WhicheditError } from '../errors.ts'

/** The element types a tensor may hold. */
export type DType = 'float32' | 'float64' | 'int32' | 'int64' | 'uint8' | 'bool'

/** The array that holds each element type. */
export interface DataOf {
  float32: Float32Array
  float64: Float64Array
  int32: Int32Array
  int64: BigInt64Array
  uint8: Uint8Array
  bool: Uint8Array
}

/** An array of numbers with its shape. The data may be shared: treat it as read-only unless you made it. */
export interface Tensor<D extends DType = 'float32'> {
  readonly dtype: D
  readonly shape: readonly number[]
  readonly data: DataOf[D]
}

/** The product of the dimensions; 1 for a scalar's empty shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1)
}

/**
 * Makes a float32 tensor around `data`, without copying.
 * @throws E_SHAPE when the data's length is not the product of the shape.
 */
export function tensor(data: Float32Array, shape: readonly number[]): Tensor {
  if (data.length !== sizeOf(shape)) {
    throw new WhicheditError('E_SHAPE', {
      where: 'tensor',
      what: `expected ${sizeOf(shape)} numbers for shape [${shape.join(', ')}], found ${data.length}`,
    })
  }
  return { dtype: 'float32', shape, data }
}

/** Rows of several tensors [·, width], one below the other; of none, [0, width]. @throws E_SHAPE for another width. */
export function joinRows(parts: readonly Tensor[], width: number): Tensor {
  const data = new Float32Array(parts.reduce((size, part) => size + part.data.length, 0))
  let at = 0
  for (const part of parts) {
    data.set(part.data, at)
    at += part.data.length
  }
  const rows = parts.reduce((count, { shape: [more = 0] }) => count + more, 0)
  return tensor(data, [rows, width])
}

/** The rows of a matrix [R, width], each [width], without copying. */
export function rowsOf({ data, shape: [count = 0, width = 0] }: Tensor): Tensor[] {
  return Array.from({ length: count }, (_, i) => tensor(data.subarray(i * width, (i + 1) * width), [width]))
}

/** Makes a float32 tensor of zeros. */
export function zeros(shape: readonly number[]): Tensor {
  return tensor(new Float32Array(sizeOf(shape)), shape)
}
