/** Texts as vectors, kept in the cache by what made them, and the order of their likeness to one. */
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import { hashOf } from '../../models/content-hash.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { VectorSource } from '../../models/patch.ts'
import { cosine, sentenceVectors } from '../../models/sentence-vectors.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import { readFloatFile, writeFloatFile } from './float-file.ts'

/** Sentences whose vectors are made before the work is looked after again. */
const CHUNK = 32

/**
 * The vectors of texts, one row each [N, D]; taken from the cache where they were made before.
 * @throws E_DISK_FULL, E_NOT_WRITABLE where the cache cannot be written.
 */
export async function cachedSentenceVectors(
  model: LanguageModel,
  source: VectorSource,
  texts: readonly string[],
  ctx: Context,
): Promise<Tensor> {
  const width = 'layer' in source ? model.config.width : (model.encoder?.width ?? 0)
  const shape = [texts.length, width]
  const maker = 'layer' in source ? [model.id, source.layer] : [source.encoder]
  const key = hashOf([...maker, texts])
  const file = join(ctx.cacheDir, 'sentence-vectors', `${key}.f32`)
  const cached = await readFloatFile(file, width)
  if (cached?.length === texts.length * width) return tensor(cached, shape)

  const vectors = tensor(new Float32Array(texts.length * width), shape)
  for (let start = 0; start < texts.length; start += CHUNK) {
    ctx.signal.throwIfAborted()
    const chunk = texts.slice(start, start + CHUNK)
    vectors.data.set((await sentenceVectors(model, source, chunk)).data, start * width)
    ctx.progress({ task: 'sentence vectors', done: start + chunk.length, total: texts.length, unit: 'sentences' })
  }
  await writeFloatFile(file, vectors.data)
  return vectors
}

/** Numbers of `vectors`, each [D], from the one nearest to `query` [D] to the farthest, by cosine; ties in their order. */
export function orderByCosine(vectors: readonly Tensor[], query: Tensor): number[] {
  const similarity = vectors.map((vector) => cosine(vector, query))
  return similarity.map((_, i) => i).sort((a, b) => (similarity[b] ?? 0) - (similarity[a] ?? 0))
}
