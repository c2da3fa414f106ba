/**
 * How the keys of ordinary text are spread: C = mean of k kᵀ over its tokens, uncentred, k the input of a layer's
 * down-projection. C⁻¹ tells which directions typical text uses, and so where a change does little harm.
 * Meng et al. 2022, §3.1 and appendix E.1; reference code kmeng01/rome `rome/layer_stats.py`, which inverts in float32
 * without a ridge. Here sums and factor are float64, and C + ε·tr(C)/F·I is what is factored and reported on.
 *
 * Sums are kept in `cacheDir` by what determines them: model, layer and text. A job that was stopped goes on from its
 * last saved chunk.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import { openNativeProduct } from '../../graph/products.ts'
import { cacheBytes, type Footprint, forwardBytes, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel } from '../../models/model.ts'
import {
  type CholeskyFactor,
  estimateCondition,
  factorCholesky,
  type Solution,
  solvePositiveDefinite,
} from '../../tensor/linalg.ts'
import type { MethodMemory } from '../editor.ts'
import { type CalibrationText, CHUNK_TOKENS, openCalibrationText, ROW_TOKENS } from './calibration-text.ts'
import { readGramFile, writeGramFile } from './gram-file.ts'

/** Milliseconds of work that a stopped job may lose. */
const SAVE_EVERY_MS = 20_000
/** Changes when the sums may change. */
const VERSION = 1

/** What the statistics are made of. */
export interface CovarianceJob {
  readonly model: LanguageModel
  readonly layer: number
  /** Plain text, or null: text that the model writes. */
  readonly text: readonly string[] | null
  /** Tokens wanted, as a multiple of the keys' length F. */
  readonly tokensPerUnit: number
  /** ε: what is added to the diagonal, as a share of its mean. */
  readonly ridge: number
}

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
}

/** Sums over tokens: Σ k kᵀ [F, F]. */
export interface Gram {
  readonly size: number
  readonly sum: Float64Array
  tokens: number
}

/** Matrices [F, F] in float64: the sums, which become C, its factor, and what the factorisation has cut out of it; two stay. */
const MATRICES = 2.75
const MATRICES_HELD = 2
/** The runtime's float32 sums of a chunk, and the copy it gives out. */
const CHUNK_MATRICES = 2
/** Caches of a chunk's text while it is written: those fed, those given out, and some that wait to be collected. */
const CACHES = 4
/** The runtime keeps what a session took; of a pass over a chunk it gets by with less than the estimate. */
const HELD = 1 / 2
/** One runs the text, one writes it. */
const SESSIONS = 2

/** What the statistics of a layer take. */
export function covarianceMemory(model: Footprint): Pick<MethodMemory, 'prepareBytes' | 'heldBytes'> {
  const { config } = model
  const matrix = config.mlpWidth ** 2 * Float64Array.BYTES_PER_ELEMENT
  const work = { tokens: CHUNK_TOKENS, attended: ROW_TOKENS, logits: 0 }
  const text = CACHES * cacheBytes(config, CHUNK_TOKENS, config.layers) + forwardBytes(model, work)
  const chunk = (CHUNK_MATRICES * matrix) / 2
  return {
    prepareBytes: MATRICES * matrix + chunk + text + sessionBytes(model, SESSIONS),
    heldBytes: MATRICES_HELD * matrix + HELD * forwardBytes(model, work) + sessionBytes(model, SESSIONS),
  }
}

/** Gathers the statistics, or finds them in the cache. @throws E_NOT_POSITIVE_DEFINITE where text and ridge are too small. */
export async function prepareCovariance(job: CovarianceJob, ctx: Context): Promise<Covariance> {
  const { model, layer, tokensPerUnit, ridge } = job
  const size = model.config.mlpWidth
  const text = await openCalibrationText(model, job.text, tokensPerUnit * size, ctx)
  const key = createHash('sha256')
    .update(JSON.stringify([VERSION, model.id, layer, text.id]))
    .digest('hex')
  const file = join(ctx.cacheDir, `covariance-${key.slice(0, 32)}.bin`)
  return factorGram(await gatherGram({ model, layer, text, file, key }, ctx), ridge)
}

/** C⁻¹ k for rows of keys [R, F]. */
export function solveCovariance({ matrix, factor }: Covariance, keys: Float64Array): Solution {
  return solvePositiveDefinite(matrix, factor, keys)
}

/** Adds rows of tokens to the sums. */
export async function addToGram(
  gram: Gram,
  model: LanguageModel,
  layer: number,
  rows: readonly Int32Array[],
): Promise<void> {
  if (rows.length === 0) return
  const { reads } = await model.run({ tokens: { rows }, read: [{ site: `mlp-inner.${layer}`, at: 'all', as: 'gram' }] })
  reads[0]?.data.forEach((value, i) => {
    gram.sum[i] = (gram.sum[i] ?? 0) + value
  })
  gram.tokens += rows.reduce((count, row) => count + row.length, 0)
}

/** The mean of the sums, with the ridge, factored. The sums become the mean: at 16,384 numbers a key a copy would take 2 GiB. */
export async function factorGram({ size, sum: matrix, tokens }: Gram, ridge: number): Promise<Covariance> {
  for (let i = 0; i < matrix.length; i++) matrix[i] = (matrix[i] ?? 0) / tokens
  let trace = 0
  for (let i = 0; i < size; i++) trace += matrix[i * size + i] ?? 0
  for (let i = 0; i < size; i++) matrix[i * size + i] = (matrix[i * size + i] ?? 0) + (ridge * trace) / size
  const product = await openNativeProduct()
  const factor = await factorCholesky(matrix, size, product.multiplyInto).finally(product.close)
  return { size, tokens, matrix, factor, condition: estimateCondition(matrix, factor) }
}

interface GramJob {
  readonly model: LanguageModel
  readonly layer: number
  readonly text: CalibrationText
  readonly file: string
  readonly key: string
}

async function gatherGram({ model, layer, text, file, key }: GramJob, ctx: Context): Promise<Gram> {
  const saved = await readGramFile(file, key)
  const size = model.config.mlpWidth
  const gram: Gram = saved?.gram ?? { size, sum: new Float64Array(size * size), tokens: 0 }
  let lastSave = ctx.now()
  for (let chunk = saved?.chunks ?? 0; chunk < text.chunks; chunk++) {
    ctx.signal.throwIfAborted()
    await addToGram(gram, model, layer, await text.rows(chunk))
    ctx.progress({ task: `covariance of mlp-inner.${layer}`, done: chunk + 1, total: text.chunks, unit: 'chunks' })
    if (chunk + 1 === text.chunks || ctx.now() - lastSave > SAVE_EVERY_MS) {
      await writeGramFile(file, key, { gram, chunks: chunk + 1 })
      lastSave = ctx.now()
    }
  }
  return gram
}
