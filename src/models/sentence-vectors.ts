/**
 * Sentences as vectors by which related ones are found: an encoder's where the model has one, else the mean of the model's
 * own hidden states over a sentence's tokens.
 */
import { WhicheditError } from '../errors.ts'
import { type Tensor, zeros } from '../tensor/tensor.ts'
import { chunksByLength } from './chunks.ts'
import type { LanguageModel } from './model.ts'
import type { VectorSource } from './patch.ts'

/** Where a model's sentence vectors come from: its encoder, if there is one, else its own hidden states after a layer. */
export function vectorSource({ encoder }: LanguageModel, layer: number): VectorSource {
  return encoder === null ? { layer } : { encoder: encoder.id }
}

/** The vectors of sentences, one row each [R, D]. @throws E_ENCODER where the encoder is not the model's. */
export async function sentenceVectors(
  model: LanguageModel,
  source: VectorSource,
  texts: readonly string[],
): Promise<Tensor> {
  if ('layer' in source) return meanHiddenStates(model, source.layer, texts)
  if (model.encoder?.id !== source.encoder) {
    throw new WhicheditError('E_ENCODER', { found: model.encoder?.name ?? 'none' })
  }
  return model.encoder.vectors(texts)
}

/** Tokens of one run: enough to fill the products. */
const CHUNK_TOKENS = 1024

/** The mean of each text's hidden states at `block-output.<layer>` [R, D]. */
async function meanHiddenStates(model: LanguageModel, layer: number, texts: readonly string[]): Promise<Tensor> {
  const { width } = model.config
  const encoded = await Promise.all(texts.map((text) => model.tokenizer.encode(text)))
  const all = encoded.map(({ ids }) => (ids.length > 0 ? ids : Int32Array.of(model.tokenizer.endsOfText[0])))
  const means = zeros([texts.length, width])
  for (const chunk of chunksByLength(all, (ids) => ids.length, CHUNK_TOKENS)) {
    const rows = chunk.map(({ item }) => item)
    const { reads } = await model.run({ tokens: { rows }, read: [{ site: `block-output.${layer}`, at: 'all' }] })
    const states = reads[0]?.data ?? new Float32Array(0)
    let at = 0
    for (const { item, index } of chunk) {
      const mean = means.data.subarray(index * width, (index + 1) * width)
      for (const end = at + item.length * width; at < end; at++) {
        mean[at % width] = (mean[at % width] ?? 0) + (states[at] ?? 0) / item.length
      }
    }
  }
  return means
}

/** The cosine of the angle between two vectors; 0 where one is zero. */
export function cosine({ data: a }: Tensor, { data: b }: Tensor): number {
  let product = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0
    const y = b[i] ?? 0
    product += x * y
    aa += x * x
    bb += y * y
  }
  return product / Math.sqrt(aa * bb || 1)
}
