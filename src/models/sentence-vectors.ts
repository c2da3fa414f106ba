/**
 * Sentences as vectors by which related ones are found: an encoder's where the model has one, else the mean of the model's
 * own hidden states over a sentence's tokens.
 */
import { WhicheditError } from '../errors.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
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
  if ('layer' in source) {
    const rows = await Promise.all(texts.map((text) => meanHiddenState(model, source.layer, text)))
    return tensor(Float32Array.from(rows.flatMap((row) => [...row])), [texts.length, model.config.width])
  }
  if (model.encoder?.id !== source.encoder) {
    throw new WhicheditError('E_ENCODER', { found: model.encoder?.name ?? 'none' })
  }
  return model.encoder.vectors(texts)
}

/** The mean of a text's hidden states at `block-output.<layer>` [D]. */
async function meanHiddenState(model: LanguageModel, layer: number, text: string): Promise<Float32Array> {
  const { ids } = await model.tokenizer.encode(text)
  const rows = [ids.length > 0 ? ids : Int32Array.of(model.tokenizer.endsOfText[0])]
  const { reads } = await model.run({ tokens: { rows }, read: [{ site: `block-output.${layer}`, at: 'all' }] })
  const states = reads[0] ?? tensor(new Float32Array(0), [0, 0])
  const [count = 0, width = 0] = states.shape
  const mean = new Float32Array(width)
  for (let i = 0; i < states.data.length; i++) mean[i % width] = (mean[i % width] ?? 0) + (states.data[i] ?? 0) / count
  return mean
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
