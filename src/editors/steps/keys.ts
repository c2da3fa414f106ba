/**
 * Keys and values: what a layer's down-projection takes in and gives out at a subject's last token. In the papers
 * v = W k; the layer is seen as a memory that answers the key k (the subject) with the value v (what is known of it).
 * Meng et al. 2022, §3.1, equation 3.
 */
import { WhicheditError } from '../../errors.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { SubjectTokens } from './subject.ts'

/** Keys and values of several texts, a row for each. */
export interface KeysAndValues {
  /** [R, F] */
  readonly keys: Tensor
  /** [R, D] */
  readonly values: Tensor
}

/** Reads key and value at the subject's last token of each text. */
export async function readKeys(
  model: LanguageModel,
  layer: number,
  texts: readonly SubjectTokens[],
): Promise<KeysAndValues> {
  const at = texts.map(({ subject }, row) => ({ row, token: subject }))
  const { reads } = await model.run({
    tokens: { rows: texts.map(({ ids }) => ids) },
    read: [
      { site: `mlp-inner.${layer}`, at },
      { site: `mlp-output.${layer}`, at },
    ],
  })
  const [keys, values] = reads
  if (keys === undefined || values === undefined) {
    throw new WhicheditError('E_INTERNAL', { what: `keys of layer ${layer}: the model gave none` })
  }
  return { keys, values }
}

/** The mean of the rows of [R, N], in float64 [N]. */
export function averageRows({ shape: [rows = 0, width = 0], data }: Tensor): Float64Array {
  const mean = new Float64Array(width)
  for (let i = 0; i < data.length; i++) mean[i % width] = (mean[i % width] ?? 0) + (data[i] ?? 0) / rows
  return mean
}

/** The first row of [R, N]. */
export function firstRow({ shape: [, width = 0], data }: Tensor): Float32Array {
  return data.subarray(0, width)
}
