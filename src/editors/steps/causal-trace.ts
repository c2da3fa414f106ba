/**
 * Causal tracing: where a model recalls a fact. The prompt is run clean; then with noise on the subject's embeddings, so that
 * the answer is lost; then again with the noise and one activation put back as it was in the clean run. How much of the
 * answer's probability returns says what that activation carries.
 *
 *   IE(site, t) = P_restored(o) − P_corrupted(o)        restored share = IE / (P_clean(o) − P_corrupted(o))
 *
 * Meng et al. 2022, §2.1. Noise: Gaussian with ν = 3σ, σ the deviation of the subjects' embeddings (appendix B.1), averaged over
 * several draws. Reference code kmeng01/rome `experiments/causal_trace.py`, matched in noise, restoration and averages. Not
 * matched: P is the probability of the whole answer, there of its first token (which of a number may be a mere blank).
 */
import type { Context } from '../../context.ts'
import { WhicheditError } from '../../errors.ts'
import type { LanguageModel, LayerSite, Position, TokenBatch, Write } from '../../models/model.ts'
import { tokenOfSpan } from '../../models/tokenizer.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import { tokenizeTarget } from './target-tokens.ts'

/** What is put back: the residual stream after a layer, or what the layer's feed-forward or attention adds to it. */
export const TRACED_SITES = ['block-output', 'mlp-output', 'attention-output'] as const satisfies readonly LayerSite[]

/** One of {@link TRACED_SITES}. */
export type TracedSite = (typeof TRACED_SITES)[number]

/** A prompt, where its subject stands in it [start, end), and the answer that the model gives. */
export interface TracedFact {
  readonly prompt: string
  readonly subjectSpan: readonly [number, number]
  readonly answer: string
}

/** How facts are traced. */
export interface TraceSettings {
  /** σ of the subjects' embeddings ({@link embeddingDeviation}). */
  readonly deviation: number
  /** ν / σ; 3 in the paper. */
  readonly noise: number
  /** Draws of the noise; 10 in the reference code. */
  readonly samples: number
}

/** The work of {@link traceFact}. */
export interface TraceJob {
  readonly model: LanguageModel
  readonly fact: TracedFact
  readonly settings: TraceSettings
}

/** The trace of one fact. Probabilities are of its whole answer. */
export interface Trace {
  /** The prompt's tokens, as texts. */
  readonly tokens: readonly string[]
  /** The subject's first and last token. */
  readonly subject: readonly [number, number]
  readonly clean: number
  readonly corrupted: number
  /** With one clean activation put back [L, T]; in an encoder-decoder L counts the encoder's layers, which read the prompt. */
  readonly restored: Readonly<Record<TracedSite, Tensor>>
}

/** σ: the standard deviation of all numbers in the embeddings of the facts' subjects. */
export async function embeddingDeviation(model: LanguageModel, facts: readonly TracedFact[]): Promise<number> {
  const located = await Promise.all(facts.map((fact) => locate(model, fact)))
  const at = located.flatMap(({ subject }, row) => range(...subject).map((token) => ({ row, token })))
  const { reads } = await model.run({
    tokens: { rows: located.map(({ row }) => row) },
    read: [{ site: 'block-input.0', at }],
  })
  const data = reads[0]?.data ?? new Float32Array()
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length
  return Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length)
}

/**
 * Traces a fact: every traced site, layer and token of the prompt. The noise is drawn from a stream of `ctx.random` named
 * after the prompt.
 * @throws E_SUBJECT_SPLIT where a token runs over the subject's end
 */
export async function traceFact({ model, fact, settings }: TraceJob, ctx: Context): Promise<Trace> {
  const { width } = model.config
  const layers = tracedLayers(model)
  const { deviation, noise, samples } = settings
  const random = ctx.random.stream('causal trace').stream(fact.prompt)
  const located = await locate(model, fact)
  const { prompt, subject } = located
  const everywhere = range(0, prompt.length - 1)
  const clean = await readClean(model, located)
  const noised = range(...subject)
  const count = samples * noised.length * width
  const value = tensor(
    Float32Array.from({ length: count }, () => random.normal() * noise * deviation),
    [samples * noised.length, width],
  )
  /** The noise in rows that are draws, one block of them for each of `blocks`. */
  const corrupt = (blocks: number): Write => ({
    site: 'block-input.0',
    mode: 'add',
    value,
    at: range(0, blocks * samples - 1).flatMap((row) =>
      noised.map((token, i) => ({ row, token, index: (row % samples) * noised.length + i })),
    ),
  })
  const corrupted = await probabilities(model, located, samples, [corrupt(1)])
  const restored = {} as Record<TracedSite, Tensor>
  for (const [s, site] of TRACED_SITES.entries()) {
    const shares = new Float32Array(layers * prompt.length)
    for (let layer = 0; layer < layers; layer++) {
      ctx.signal.throwIfAborted()
      const putBack: Write = {
        site: `${site}.${layer}`,
        mode: 'replace',
        value: clean.activations[s * layers + layer] as Tensor,
        at: everywhere.flatMap((token) =>
          range(0, samples - 1).map((draw) => ({ row: token * samples + draw, token, index: token })),
        ),
      }
      const rows = prompt.length * samples
      const found = await probabilities(model, located, rows, [corrupt(prompt.length), putBack])
      for (const token of everywhere) {
        shares[layer * prompt.length + token] = mean(found.slice(token * samples, (token + 1) * samples))
      }
      ctx.progress({
        task: 'tracing',
        done: s * layers + layer + 1,
        total: TRACED_SITES.length * layers,
        unit: 'sites',
      })
    }
    restored[site] = tensor(shares, [layers, prompt.length])
  }
  const tokens = await Promise.all(Array.from(prompt, (token) => model.tokenizer.decode([token])))
  return { tokens, subject, clean: clean.probability, corrupted: mean(corrupted), restored }
}

function tracedLayers({ config: { layers, encoderLayers } }: LanguageModel): number {
  return encoderLayers > 0 ? encoderLayers : layers
}

interface Located {
  /** The prompt's tokens, then the answer's. */
  readonly row: Int32Array
  readonly prompt: Int32Array
  readonly answer: Int32Array
  readonly subject: readonly [number, number]
}

async function locate({ tokenizer }: LanguageModel, { prompt, subjectSpan, answer }: TracedFact): Promise<Located> {
  const { first, last } = tokenOfSpan(await tokenizer.encode(prompt), subjectSpan)
  const target = await tokenizeTarget(tokenizer, prompt, answer)
  return { row: target.row, prompt: target.prompt, answer: target.target, subject: [first, last] }
}

async function readClean(model: LanguageModel, located: Located) {
  const layers = tracedLayers(model)
  const at = range(0, located.prompt.length - 1).map((token) => ({ row: 0, token }))
  const sites = TRACED_SITES.flatMap((site) => range(0, layers - 1).map((layer) => `${site}.${layer}` as const))
  const { reads } = await model.run({
    tokens: batch(located, 1),
    read: sites.map((site) => ({ site, at })),
  })
  const [probability = 0] = await probabilities(model, located, 1, [])
  return { activations: reads, probability }
}

/** The answer's probability in each of `rows` copies of the prompt. */
async function probabilities(
  model: LanguageModel,
  located: Located,
  rows: number,
  write: readonly Write[],
): Promise<number[]> {
  const { prompt, answer } = located
  const places = range(0, rows - 1).flatMap((row) =>
    Array.from(answer, (target, i): Position & { target: number } => ({ row, token: prompt.length - 1 + i, target })),
  )
  const { reads } = await model.run({
    tokens: batch(located, rows),
    write,
    read: [{ site: 'logits', at: places, as: 'log-probs', targets: places.map(({ target }) => target) }],
  })
  const logProbs = reads[0]?.data
  if (logProbs === undefined) throw new WhicheditError('E_INTERNAL', { what: 'causal trace: the model gave no logits' })
  return range(0, rows - 1).map((row) =>
    Math.exp(logProbs.subarray(row * answer.length, (row + 1) * answer.length).reduce((sum, value) => sum + value, 0)),
  )
}

function batch({ row, prompt }: Located, rows: number): TokenBatch {
  return {
    rows: Array.from({ length: rows }, () => row),
    promptLengths: Array.from({ length: rows }, () => prompt.length),
  }
}

/** Whole numbers from `first` to `last`. */
function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
