/**
 * Which neurons of the feed-forwards a model owes an answer to, by integrated gradients:
 *
 *   Attr(wᵢ) = (w̄ᵢ/m) Σ over k = 1…m of ∂P(y | x, w := (k/m) w̄)/∂wᵢ
 *
 * w the neurons of one layer, the down-projection's input at the token that predicts y; w̄ their values; m steps. Over the
 * neurons of a layer the attributions add up to P(y | x) − P(y | x, w := 0), but for the coarseness of the sum (Sundararajan
 * et al. 2017, arXiv 1703.01365, "completeness"). Dai et al. 2022, equations 4–5. The answer's later tokens are predicted after
 * its earlier ones, each at its own place; the attributions are averaged over them.
 *
 * Rows of one run differ only in which layer is scaled, and how far: all go on from one captured row.
 */
import type { Context } from '../../context.ts'
import { type Footprint, forwardBytes, gradientBytes, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel, Position, TokenBatch } from '../../models/model.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import { differentiateAll } from './differentiate.ts'

/** A prompt and the answer whose neurons are sought. */
export interface AttributionJob {
  readonly model: LanguageModel
  readonly prompt: Int32Array
  /** At least one token. */
  readonly answer: Int32Array
  /** m */
  readonly steps: number
}

/** Attributions of the neurons of the layers that write: all, or a decoder's. */
export interface Attribution {
  /** The first of the layers. */
  readonly firstLayer: number
  /** Attr(wᵢ), one array a layer [F]. */
  readonly layers: readonly Float64Array[]
  /** w̄, the mean over the answer's tokens, one array a layer [F]. */
  readonly activations: readonly Float64Array[]
  /** P(y | x) of each of the answer's tokens. */
  readonly probabilities: readonly number[]
}

/** Layers scaled in one run: those below are not computed again, and those above need gradients kept. */
const LAYERS_A_RUN = 10
/** Rows of one run: enough to fill the products. */
const ROWS_A_RUN = 50

/** Positions of a prompt, as an estimate takes them. */
const PROMPT_TOKENS = 32
/** To capture and to descend. */
const SESSIONS_A_BLOCK = 2

/** Bytes that an attribution takes at most: every block of layers has sessions of its own, which keep what they took. */
export function attributionMemory(model: Footprint): number {
  const { layers, encoderLayers } = model.config
  const captured = { tokens: PROMPT_TOKENS, attended: PROMPT_TOKENS, logits: 1 }
  const descended = { tokens: ROWS_A_RUN, attended: PROMPT_TOKENS, logits: ROWS_A_RUN }
  let bytes = 0
  for (let first = encoderLayers; first < layers; first += LAYERS_A_RUN) {
    bytes += sessionBytes(model, SESSIONS_A_BLOCK) + forwardBytes(model, captured)
    bytes += gradientBytes(model, { ...descended, layers: layers - first })
  }
  return bytes
}

/** Attributes an answer to neurons. */
export async function attributeAnswer(job: AttributionJob, ctx: Context): Promise<Attribution> {
  const { model, prompt, answer, steps } = job
  const { layers, encoderLayers, mlpWidth } = model.config
  const emptyLayers = () => Array.from({ length: layers - encoderLayers }, () => new Float64Array(mlpWidth))
  const [sums, activations] = [emptyLayers(), emptyLayers()]
  const probabilities: number[] = []
  for (const [j, target] of answer.entries()) {
    const row = Int32Array.of(...prompt, ...answer.subarray(0, j))
    const place = { tokens: { rows: [row], promptLengths: [prompt.length] }, token: row.length - 1, target }
    for (let first = encoderLayers; first < layers; first += LAYERS_A_RUN) {
      const block = Array.from({ length: Math.min(LAYERS_A_RUN, layers - first) }, (_, i) => first + i)
      const { attributions, values, probability } = await attributeLayers(model, place, { layers: block, steps }, ctx)
      block.forEach((layer, i) => {
        addTo(sums[layer - encoderLayers], attributions[i], 1 / answer.length)
        addTo(activations[layer - encoderLayers], values[i]?.data, 1 / answer.length)
      })
      if (first === encoderLayers) probabilities.push(probability)
    }
  }
  return { firstLayer: encoderLayers, layers: sums, activations, probabilities }
}

/** A token of the answer where it is predicted. */
interface Place {
  /** One row. */
  readonly tokens: TokenBatch
  readonly token: number
  readonly target: number
}

/** Attributions of some layers for one token. */
async function attributeLayers(
  model: LanguageModel,
  { tokens, token, target }: Place,
  { layers, steps }: { readonly layers: readonly number[]; readonly steps: number },
  ctx: Context,
): Promise<{ attributions: Float64Array[]; values: readonly Tensor[]; probability: number }> {
  const at = [{ row: 0, token }]
  const [first = 0] = layers
  const { reads, capture } = await model.run({
    tokens,
    read: [
      ...layers.map((layer) => ({ site: siteOf(layer), at })),
      { site: 'logits', at, as: 'log-probs', targets: [target] },
    ],
    capture: { layer: first, from: [token] },
  })
  const values = reads.slice(0, -1) // [1, F] each
  const attributions = values.map(({ data }) => new Float64Array(data.length))
  const stepsARun = Math.max(1, Math.floor(ROWS_A_RUN / layers.length))
  for (let done = 0; done < steps; done += stepsARun) {
    ctx.signal.throwIfAborted()
    const shares = Array.from({ length: Math.min(stepsARun, steps - done) }, (_, i) => (done + i + 1) / steps)
    const rows = layers.flatMap(() => shares)
    const places = rows.map((_, row): Position => ({ row, token }))
    // ∂P/∂w = −P ∂(−log P)/∂w; each row's loss depends on its own values alone.
    const request = {
      tokens: { rows: rows.flatMap(() => tokens.rows), promptLengths: rows.flatMap(() => tokens.promptLengths ?? []) },
      ...(capture ? { resume: capture } : {}),
      write: layers.map((layer, l) => ({
        site: siteOf(layer),
        mode: 'replace' as const,
        value: scaleRow(values[l], shares),
        at: shares.map((_, index) => ({ row: l * shares.length + index, token, index })),
      })),
      read: [{ site: 'logits', at: places, as: 'log-probs', targets: rows.map(() => target) }] as const,
      loss: [{ kind: 'nll', at: places.map((place) => ({ ...place, target, weight: 1 })) }] as const,
    }
    const { gradients, reads: rowReads } = await differentiateAll(model, request, layers.map(siteOf))
    const logProbs = rowReads[0]?.data ?? new Float32Array() // [R]
    gradients.forEach(({ data }, l) => {
      const { data: value = new Float32Array() } = values[l] ?? {}
      shares.forEach((_, k) => {
        const probability = Math.exp(logProbs[l * shares.length + k] ?? Number.NaN)
        const row = data.subarray(k * value.length, (k + 1) * value.length)
        addTo(
          attributions[l],
          row.map((slope, i) => -slope * probability * (value[i] ?? 0)),
          1 / steps,
        )
      })
    })
  }
  return { attributions, values, probability: Math.exp(reads.at(-1)?.data[0] ?? Number.NaN) }
}

function siteOf(layer: number): `mlp-inner.${number}` {
  return `mlp-inner.${layer}`
}

/** A row times each share [K, F]. */
function scaleRow(row: Tensor | undefined, shares: readonly number[]): Tensor {
  const width = row?.data.length ?? 0
  const data = new Float32Array(shares.length * width)
  shares.forEach((share, k) => {
    for (let i = 0; i < width; i++) data[k * width + i] = share * (row?.data[i] ?? 0)
  })
  return tensor(data, [shares.length, width])
}

function addTo(sum: Float64Array | undefined, values: ArrayLike<number> = [], weight = 1): void {
  if (sum === undefined) return
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + weight * (values[i] ?? 0)
}
