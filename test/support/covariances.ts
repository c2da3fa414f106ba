/** Covariances as the goldens make them: of given rows of tokens, whatever text they come from. */

import { addToGrams, factorGram, type LayerCovariance } from '../../src/editors/steps/covariance.ts'
import type { TargetValueHparams } from '../../src/editors/steps/target-value.ts'
import type { LanguageModel } from '../../src/models/model.ts'

/** What the goldens of the methods that find a value at the subject say of themselves. */
export interface CovarianceGolden<Settings> {
  readonly settings: TargetValueHparams & { readonly ridge: number } & Settings
  readonly prefixes: readonly string[]
  /** Token ids of the text that the covariance is of. */
  readonly rows: readonly (readonly number[])[]
}

/** A fact as a golden names it. */
export interface GoldenFact {
  readonly id: string
  readonly prompt: string
  readonly subject: string
  readonly targetNew: string
}

/** The factored covariances of layers over a golden's rows, taken in two batches so that their sums are seen to add up. */
export async function covariancesOf(
  model: LanguageModel,
  { rows, settings }: CovarianceGolden<unknown>,
  layers: readonly number[],
): Promise<LayerCovariance[]> {
  const size = model.config.mlpWidth
  const sums = layers.map((layer) => ({ layer, gram: { size, sum: new Float64Array(size * size), tokens: 0 } }))
  const ids = rows.map((row) => Int32Array.from(row))
  const half = ids.length >> 1
  await addToGrams(model, ids.slice(0, half), sums)
  await addToGrams(model, ids.slice(half), sums)
  return Promise.all(sums.map(async ({ layer, gram }) => ({ layer, ...(await factorGram(gram, settings.ridge)) })))
}

/** The same of the one layer that a golden's settings name. */
export async function covarianceOf(
  model: LanguageModel,
  golden: CovarianceGolden<{ readonly layer: number }>,
): Promise<LayerCovariance> {
  const [covariance] = await covariancesOf(model, golden, [golden.settings.layer])
  if (covariance === undefined) throw new Error('no covariance')
  return covariance
}
