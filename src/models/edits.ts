/** What patches make of a model's weights. */
import { type FileHandle, open } from 'node:fs/promises'
import { WhicheditError } from '../errors.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Network } from './architecture.ts'
import { dequantize } from './dequantize.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { ModelFiles, StoredWeight } from './weights.ts'

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
    const sum = tensor(
      base.data.map((value, i) => value + (delta.data[i] ?? 0)),
      base.shape,
    )
    dense[name] = addProduct(sum, patch.lowRank.get(name))
  }
  const lowRank = new Map([...patch.lowRank].filter(([name]) => !patch.dense.has(name)))
  return { patch: { ...patch, lowRank }, dense }
}

/** A weight [in, out] with a low-rank delta, if there is one: base + left · right. */
export function addProduct(
  base: Tensor,
  factors: { readonly left: Tensor; readonly right: Tensor } | undefined,
): Tensor {
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

/** Reads a linear layer's weight as [in, out], however it is stored. */
export async function readWeight(files: ModelFiles, { stored: order }: Network, name: string): Promise<Tensor> {
  const stored = files.weights.get(name)
  if (stored === undefined) throw new WhicheditError('E_WEIGHT', { name })
  const flat = await readStored(stored)
  if (order === 'in-out') return tensor(flat, stored.shape)
  const [out = 0, into = 0] = stored.shape
  const data = new Float32Array(flat.length)
  for (let o = 0; o < out; o++) for (let i = 0; i < into; i++) data[i * out + o] = flat[o * into + i] ?? 0
  return tensor(data, [into, out])
}

async function readStored(stored: StoredWeight): Promise<Float32Array> {
  const bytes = new Uint8Array(stored.bytes)
  let handle: FileHandle | null = null
  try {
    handle = await open(stored.file)
    await handle.read(bytes, 0, stored.bytes, stored.offset)
  } finally {
    await handle?.close()
  }
  return dequantize(stored.format, bytes)
}
