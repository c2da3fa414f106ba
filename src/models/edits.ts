/** What patches make of a model's weights. */
import { open } from 'node:fs/promises'
import { WhicheditError } from '../errors.ts'
import { sizeOf, type Tensor, tensor } from '../tensor/tensor.ts'
import type { Network } from './architecture.ts'
import { dequantize } from './dequantize.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { Factors } from './patch.ts'
import { readExactly } from './safetensors.ts'
import type { ModelFiles } from './weights.ts'

/** A model's patches, as one, with the weights that dense deltas made [in, out]. */
export interface Edits {
  readonly patch: MergedPatch
  readonly dense: Readonly<Record<string, Tensor>>
}

/** Makes the weights that have a dense delta, their low-rank deltas included; the other deltas stay what they are. */
export async function applyDense(files: ModelFiles, network: Network, patch: MergedPatch): Promise<Edits> {
  const dense: Record<string, Tensor> = {}
  for (const [name, delta] of patch.dense) {
    const base = await readWeight(files, network, name)
    if (base.shape.join() !== delta.shape.join()) {
      const what = `expected a delta [${base.shape.join(', ')}], found [${delta.shape.join(', ')}]`
      throw new WhicheditError('E_SHAPE', { where: name, what })
    }
    // Freshly read: nobody else's.
    for (let i = 0; i < base.data.length; i++) base.data[i] = (base.data[i] ?? 0) + (delta.data[i] ?? 0)
    dense[name] = addProduct(base, patch.lowRank.get(name))
  }
  const lowRank = new Map([...patch.lowRank].filter(([name]) => !patch.dense.has(name)))
  return { patch: { ...patch, lowRank }, dense }
}

/** A weight [in, out] with a low-rank delta, if there is one: base + left · right. */
export function addProduct(base: Tensor, factors: Factors | undefined): Tensor {
  if (factors === undefined) return base
  const { left, right } = factors
  const [rows = 0, columns = 0] = base.shape
  const rank = left.shape[1] ?? 0
  const data = base.data.slice() // [in, out]
  for (let i = 0; i < rows; i++) {
    for (let r = 0; r < rank; r++) {
      const factor = left.data[i * rank + r] ?? 0
      for (let j = 0; j < columns; j++) {
        data[i * columns + j] = (data[i * columns + j] ?? 0) + factor * (right.data[r * columns + j] ?? 0)
      }
    }
  }
  return tensor(data, base.shape)
}

/** Bytes read at a time: a matrix is held once, not also as it lies in its file. */
const PIECE_BYTES = 4 * 2 ** 20

/** Reads a linear layer's weight as [in, out], however it is stored. The array is the caller's own. @throws E_WEIGHT, E_SAFETENSORS */
export async function readWeight(
  files: Pick<ModelFiles, 'weights'>,
  { stored: order }: Pick<Network, 'stored'>,
  name: string,
): Promise<Tensor> {
  const stored = files.weights.get(name)
  if (stored === undefined) throw new WhicheditError('E_WEIGHT', { name })
  const data = new Float32Array(sizeOf(stored.shape))
  const [rows = 1] = stored.shape
  const columns = data.length / rows
  const rowBytes = stored.bytes / rows
  const step = Math.max(1, Math.floor(PIECE_BYTES / rowBytes))
  const handle = await open(stored.file)
  try {
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row)
      const read = await readExactly(handle, stored.file, stored.offset + row * rowBytes, count * rowBytes)
      const piece = dequantize(stored.format, read)
      if (order === 'in-out') data.set(piece, row * columns)
      else {
        for (let o = 0; o < count; o++) {
          for (let i = 0; i < columns; i++) data[i * rows + row + o] = piece[o * columns + i] ?? 0
        }
      }
    }
  } finally {
    await handle.close()
  }
  return tensor(data, order === 'in-out' ? stored.shape : stored.shape.toReversed())
}
