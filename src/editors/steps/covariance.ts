/**
 * How the keys of ordinary text are spread: C = mean of k kᵀ over its tokens, uncentred, k the input of a layer's
 * down-projection. C⁻¹ tells which directions typical text uses, and so where a change does little harm.
 * Meng et al. 2022, §3.1 and appendix E.1; reference code kmeng01/rome `rome/layer_stats.py`, which inverts in float32
 * without a ridge. Here sums and factor are float64, and C + ε·tr(C)/F·I is what is factored and reported on.
 *
 * Sums are kept in `cacheDir` by what determines them: model, layer and text. A job that was stopped goes on from its
 * last saved chunk. Several layers are gathered in one pass over the text.
 */
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import { openNativeProduct } from '../../graph/products.ts'
import { hashOf } from '../../models/content-hash.ts'
import { type Footprint, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel } from '../../models/model.ts'
import {
  type CholeskyFactor,
  dot,
  estimateCondition,
  factorCholesky,
  type Solution,
  solvePositiveDefinite,
} from '../../tensor/linalg.ts'
import type { HparamSpec, MethodMemory } from '../editor.ts'
import { type CalibrationText, calibrationBytes, chunkBytes, openCalibrationText } from './calibration-text.ts'
import { readGramFile, writeGramFile } from './gram-file.ts'

/** Milliseconds of work that a stopped job may lose. */
const SAVE_EVERY_MS = 20_000
/** Changes when the sums may change. */
const VERSION = 1

/** What a method that needs such statistics lets a user set. */
export type StatisticsHparams = {
  /** Tokens wanted, as a multiple of the keys' length F. */
  readonly tokensPerUnit: number
  /** ε: what is added to the diagonal, as a share of its mean. */
  readonly ridge: number
}

/** What those settings mean. */
export const STATISTICS_HPARAMS: HparamSpec<StatisticsHparams> = {
  tokensPerUnit: {
    meaning: 'tokens of text behind the covariance, as a multiple of the feed-forward width',
    unit: '1',
    range: [0.1, 1e6],
    reference: 'mom2_n_samples',
  },
  ridge: {
    meaning: "what is added to the covariance's diagonal, as a share of its mean",
    unit: '1',
    range: [0, 1],
    reference: 'none',
  },
}

/** What the statistics are made of. */
interface StatisticsJob extends Pick<StatisticsHparams, 'tokensPerUnit'> {
  readonly model: LanguageModel
  /** Plain text, or null: text that the model writes. */
  readonly text: readonly string[] | null
}

/** The work of {@link prepareCovariance}. */
export interface CovarianceJob extends StatisticsJob, StatisticsHparams {
  readonly layer: number
}

/** The work of {@link gatherGrams}. */
export interface GramsJob extends StatisticsJob {
  readonly layers: readonly number[]
}

/** The work of {@link prepareCovariances}. */
export interface CovariancesJob extends GramsJob, StatisticsHparams {}

/** Statistics of keys, ready to be inverted. */
export interface Covariance {
  /** F */
  readonly size: number
  readonly tokens: number
  /** C with the ridge [F, F] */
  readonly matrix: Float64Array
  readonly factor: CholeskyFactor
  /** Estimate of ‖C‖₁·‖C⁻¹‖₁, with the ridge. */
  readonly condition: number
  /** What the ridge has added to the diagonal. */
  readonly added: number
}

/** Directions found with the covariance, and how far they rest on text. */
export interface CovarianceSolution extends Solution {
  /**
   * The largest share of kᵀ C⁻¹ k that is the ridge's, not the text's: ε ‖x‖² / xᵀ k, x = C⁻¹ k. Near 1 the text says nothing of
   * a key's direction: a change there costs what the ridge says, and no more is known about it.
   */
  readonly ridgeShare: number
}

/** The same, with the layer it is of. */
export interface LayerCovariance extends Covariance {
  readonly layer: number
}

/** Sums over tokens: Σ k kᵀ [F, F]. */
export interface Gram {
  readonly size: number
  readonly sum: Float64Array
  tokens: number
}

/** The sums of a layer. */
export interface LayerGram {
  readonly layer: number
  readonly gram: Gram
  /** Hash of what determines them. */
  readonly key: string
}

/** Matrices [F, F] in float64: the sums, which become C, its factor, and what the factorisation has cut out of it; two stay. */
const MATRICES = 2.75
const MATRICES_HELD = 2
/** The runtime's float32 sums of a chunk, and the copy it gives out. */
const CHUNK_MATRICES = 2
/** The runtime keeps what a session took; of a pass over a chunk it gets by with less than the estimate. */
const HELD = 1 / 2
/** One runs the text, one writes it. */
const SESSIONS = 2

/** What the statistics of so many layers take. */
export function covarianceMemory(model: Footprint, layers = 1): Pick<MethodMemory, 'prepareBytes' | 'heldBytes'> {
  const matrix = model.config.mlpWidth ** 2 * Float64Array.BYTES_PER_ELEMENT
  const chunk = (CHUNK_MATRICES * matrix) / 2
  return {
    prepareBytes:
      (MATRICES + MATRICES_HELD * (layers - 1)) * matrix +
      layers * chunk +
      calibrationBytes(model) +
      sessionBytes(model, SESSIONS),
    heldBytes: layers * MATRICES_HELD * matrix + HELD * chunkBytes(model) + sessionBytes(model, SESSIONS),
  }
}

/** Gathers the statistics of a layer, or finds them in the cache. @throws E_NOT_POSITIVE_DEFINITE where text and ridge are too small. */
export async function prepareCovariance(job: CovarianceJob, ctx: Context): Promise<Covariance> {
  const text = await openText(job, ctx)
  const sums = await openSums(job.model, job.layer, text, ctx)
  await gatherSums(job.model, text, [sums], ctx)
  return factorGram(sums.gram, job.ridge)
}

/** The statistics of several layers, in their order, from one pass over the text. @throws E_NOT_POSITIVE_DEFINITE as for one. */
export async function prepareCovariances(job: CovariancesJob, ctx: Context): Promise<LayerCovariance[]> {
  const covariances: LayerCovariance[] = []
  for (const { layer, gram } of await gatherGrams(job, ctx)) {
    covariances.push({ layer, ...(await factorGram(gram, job.ridge)) })
  }
  return covariances
}

/** Gathers the sums of several layers, in their order, in one pass over the text, or finds them in the cache. */
export async function gatherGrams(job: GramsJob, ctx: Context): Promise<LayerGram[]> {
  const text = await openText(job, ctx)
  const all = await Promise.all(job.layers.map((layer) => openSums(job.model, layer, text, ctx)))
  await gatherSums(job.model, text, all, ctx)
  return all
}

/** C⁻¹ k for rows of keys [R, F]. */
export function solveCovariance({ matrix, factor, added, size }: Covariance, keys: Float64Array): CovarianceSolution {
  const solution = solvePositiveDefinite(matrix, factor, keys)
  let ridgeShare = 0
  for (let at = 0; at < keys.length; at += size) {
    const x = solution.x.subarray(at, at + size)
    ridgeShare = Math.max(ridgeShare, (added * dot(x, x)) / dot(x, keys.subarray(at, at + size)))
  }
  return { ...solution, ridgeShare }
}

/** For an edit's report: how much text stands behind the statistics, and the worst condition among them. */
export function describeCovariances(all: readonly Covariance[]): Record<string, number> {
  return {
    covarianceTokens: Math.min(...all.map(({ tokens }) => tokens)),
    covarianceCondition: Math.max(...all.map(({ condition }) => condition)),
  }
}

/** Adds rows of tokens to the sums of layers. */
export async function addToGrams(
  model: LanguageModel,
  rows: readonly Int32Array[],
  sums: readonly { readonly layer: number; readonly gram: Gram }[],
): Promise<void> {
  if (rows.length === 0) return
  const read = sums.map(({ layer }) => ({ site: `mlp-inner.${layer}`, at: 'all', as: 'gram' }) as const)
  const { reads } = await model.run({ tokens: { rows }, read })
  sums.forEach(({ gram }, i) => {
    reads[i]?.data.forEach((value, j) => {
      gram.sum[j] = (gram.sum[j] ?? 0) + value
    })
    gram.tokens += rows.reduce((count, row) => count + row.length, 0)
  })
}

/** The mean of the sums, which they become, with the ridge, factored. */
export async function factorGram(gram: Gram, ridge: number): Promise<Covariance> {
  const { matrix, trace } = averageGram(gram)
  const { size, tokens } = gram
  const added = (ridge * trace) / size
  for (let i = 0; i < size; i++) matrix[i * size + i] = (matrix[i * size + i] ?? 0) + added
  const product = await openNativeProduct()
  const factor = await factorCholesky(matrix, size, product.multiplyInto).finally(product.close)
  return { size, tokens, matrix, factor, condition: estimateCondition(matrix, factor), added }
}

/** C and its trace, the mean of ‖k‖². The sums become the mean: at 16,384 numbers a key a copy would take 2 GiB. */
export function averageGram({ size, sum: matrix, tokens }: Gram): { matrix: Float64Array; trace: number } {
  for (let i = 0; i < matrix.length; i++) matrix[i] = (matrix[i] ?? 0) / tokens
  let trace = 0
  for (let i = 0; i < size; i++) trace += matrix[i * size + i] ?? 0
  return { matrix, trace }
}

/** The sums of one layer as far as they go, and where they are kept. */
interface Sums extends LayerGram {
  readonly file: string
  chunks: number
}

function openText({ model, text, tokensPerUnit }: StatisticsJob, ctx: Context): Promise<CalibrationText> {
  return openCalibrationText(model, text, tokensPerUnit * model.config.mlpWidth, ctx)
}

async function openSums(model: LanguageModel, layer: number, text: CalibrationText, ctx: Context): Promise<Sums> {
  const key = hashOf([VERSION, model.id, layer, text.id])
  const file = join(ctx.cacheDir, `covariance-${key.slice(0, 32)}.bin`)
  const saved = await readGramFile(file, key)
  const size = model.config.mlpWidth
  const gram: Gram = saved?.gram ?? { size, sum: new Float64Array(size * size), tokens: 0 }
  return { layer, file, key, gram, chunks: saved?.chunks ?? 0 }
}

async function gatherSums(
  model: LanguageModel,
  text: CalibrationText,
  all: readonly Sums[],
  ctx: Context,
): Promise<void> {
  let lastSave = ctx.now()
  for (let chunk = Math.min(...all.map(({ chunks }) => chunks)); chunk < text.chunks; chunk++) {
    ctx.signal.throwIfAborted()
    const open = all.filter(({ chunks }) => chunks === chunk)
    await addToGrams(model, await text.rows(chunk), open)
    for (const sums of open) sums.chunks += 1
    const task = `covariance of ${open.map(({ layer }) => `mlp-inner.${layer}`).join(', ')}`
    ctx.progress({ task, done: chunk + 1, total: text.chunks, unit: 'chunks' })
    if (chunk + 1 === text.chunks || ctx.now() - lastSave > SAVE_EVERY_MS) {
      for (const { file, key, gram, chunks } of open) await writeGramFile(file, key, { gram, chunks })
      lastSave = ctx.now()
    }
  }
}
