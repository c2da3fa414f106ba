/**
 * Texts as vectors of the model's own: the mean of its hidden states over a text's tokens. They stand in for the sentence
 * encoder of the papers, which would be a second model to fetch. Large lists are cached by model, layer and texts.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import { writeWhole } from '../../disk.ts'
import { sentenceVector } from '../../models/language-model.ts'
import type { LanguageModel } from '../../models/model.ts'
import { dot, norm } from '../../tensor/linalg.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'

/**
 * The vectors of texts, one row each [N, D], read at `block-output.<layer>`; taken from the cache where they were made before.
 * @throws E_DISK_FULL, E_NOT_WRITABLE where the cache cannot be written.
 */
export async function sentenceVectors(
  model: LanguageModel,
  layer: number,
  texts: readonly string[],
  ctx: Context,
): Promise<Tensor> {
  const shape = [texts.length, model.config.width]
  const key = createHash('sha256')
    .update(JSON.stringify([model.id, layer, texts]))
    .digest('hex')
  const file = join(ctx.cacheDir, 'sentence-vectors', `${key}.f32`)
  const cached = await readFloats(file, texts.length * model.config.width)
  if (cached !== null) return tensor(cached, shape)

  const vectors = tensor(new Float32Array(texts.length * model.config.width), shape)
  for (const [i, text] of texts.entries()) {
    ctx.signal.throwIfAborted()
    vectors.data.set((await sentenceVector(model, layer, text)).data, i * model.config.width)
    ctx.progress({ task: 'sentence vectors', done: i + 1, total: texts.length, unit: 'sentences' })
  }
  await writeWhole(file, Buffer.from(vectors.data.buffer))
  return vectors
}

/** The rows of `vectors` [N, D] from the one nearest to `query` [D] to the farthest, by cosine; ties in their order. */
export function orderByCosine(vectors: Tensor, query: Tensor): number[] {
  const [count = 0, width = 0] = vectors.shape
  const similarity = Array.from({ length: count }, (_, i) => {
    const row = vectors.data.subarray(i * width, (i + 1) * width)
    return dot(row, query.data) / (norm(row) * norm(query.data) || 1)
  })
  return similarity.map((_, i) => i).sort((a, b) => (similarity[b] ?? 0) - (similarity[a] ?? 0))
}

/** The numbers of a cache file, or null where it is absent, cut short or not finite: it can be made again. */
async function readFloats(file: string, count: number): Promise<Float32Array | null> {
  const bytes = await readFile(file).catch(() => null)
  if (bytes?.byteLength !== count * Float32Array.BYTES_PER_ELEMENT) return null
  const floats = new Float32Array(Uint8Array.from(bytes).buffer)
  return floats.every(Number.isFinite) ? floats : null
}
