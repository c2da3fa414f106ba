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
import type { LanguageModel, LayerSite, ModelConfig, Position, Read, TokenBatch, Write } from '../../models/model.ts'
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
  /** Layers whose feed-forward or attention is put back together, around the one that is named ({@link windowFor}). */
  readonly window: number
}

/** ν / σ of the paper. */
export const NOISE = 3
/** Half of the reference code's: a small model on a processor takes minutes for one fact. */
export const SAMPLES = 5

/** The paper puts 10 of GPT-2 XL's 48 layers back together: alone none of so many brings back much. The same share elsewhere. */
export function windowFor({ layers }: ModelConfig): number {
  return Math.max(1, Math.round((10 * layers) / 48))
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
export async function traceFact(job: TraceJob, ctx: Context): Promise<Trace> {
  const { model, settings } = job
  const layers = tracedLayers(model)
  const { located, clean, corrupted, restore } = await startTrace(job, ctx)
  const { prompt, subject } = located
  // What stands before the subject is the same in both runs.
  const [first] = subject
  const blocks = Math.max(1, Math.floor(RUN_TOKENS / (located.row.length * settings.samples)))
  const chunks = chunk(range(first, prompt.length - 1), blocks)
  const restored = {} as Record<TracedSite, Tensor>
  for (const [s, site] of TRACED_SITES.entries()) {
    const found = new Float32Array(layers * prompt.length).fill(corrupted)
    for (let layer = 0; layer < layers; layer++) {
      for (const places of chunks) {
        ctx.signal.throwIfAborted()
        const given = await restore(site, layer, places)
        places.forEach((token, i) => {
          found[layer * prompt.length + token] = given[i] ?? corrupted
        })
      }
      ctx.progress({
        task: 'tracing',
        done: s * layers + layer + 1,
        total: TRACED_SITES.length * layers,
        unit: 'sites',
      })
    }
    restored[site] = tensor(found, [layers, prompt.length])
  }
  const tokens = await Promise.all(Array.from(prompt, (token) => model.tokenizer.decode([token])))
  return { tokens, subject, clean: clean.probability, corrupted, restored }
}

/** What the feed-forward of each layer brings back at the subject's last token. Probabilities are of the whole answer. */
export interface Recall {
  readonly clean: number
  readonly corrupted: number
  /** With the feed-forwards around a layer put back, by layer. */
  readonly restored: readonly number[]
}

/**
 * Traces a fact only where {@link proposeRecallLayers} looks: one run for each layer, a small part of {@link traceFact}'s, with the
 * same noise.
 * @throws E_SUBJECT_SPLIT where a token runs over the subject's end
 */
export async function traceRecall(job: TraceJob, ctx: Context): Promise<Recall> {
  const { located, clean, corrupted, restore } = await startTrace(job, ctx)
  const [, last] = located.subject
  const restored: number[] = []
  for (let layer = 0; layer < tracedLayers(job.model); layer++) {
    ctx.signal.throwIfAborted()
    const [found = corrupted] = await restore('mlp-output', layer, [last])
    restored.push(found)
  }
  return { clean: clean.probability, corrupted, restored }
}

/** A fact with its clean run and its noise, ready to have activations put back. */
interface StartedTrace {
  readonly located: Located
  readonly clean: CleanRun
  readonly corrupted: number
  /** The answer's probability with a layer's activation put back at each of the places in turn. */
  restore(site: TracedSite, layer: number, places: readonly number[]): Promise<number[]>
}

async function startTrace({ model, fact, settings }: TraceJob, ctx: Context): Promise<StartedTrace> {
  const { width } = model.config
  const layers = tracedLayers(model)
  const { deviation, noise, samples, window } = settings
  const random = ctx.random.stream('causal trace').stream(fact.prompt)
  const located = await locate(model, fact)
  const clean = await readClean(model, located)
  const noised = range(...located.subject)
  const value = tensor(
    Float32Array.from({ length: samples * noised.length * width }, () => random.normal() * noise * deviation),
    [samples * noised.length, width],
  )
  /** The noise in rows of which each block of `samples` has every draw once. */
  const corrupt = (blocks: number): Write => ({
    site: 'block-input.0',
    mode: 'add',
    value,
    at: range(0, blocks * samples - 1).flatMap((row) =>
      noised.map((token, i) => ({ row, token, index: (row % samples) * noised.length + i })),
    ),
  })
  const restore: StartedTrace['restore'] = async (site, layer, places) => {
    const at = places.flatMap((token, block) =>
      range(0, samples - 1).map((draw) => ({ row: block * samples + draw, token, index: token })),
    )
    const putBack = around(site, layer, { layers, window }).map((near): Write => {
      const index = TRACED_SITES.indexOf(site) * layers + near
      return { site: `${site}.${near}`, mode: 'replace', value: clean.activations[index] as Tensor, at }
    })
    const rows = places.length * samples
    const given = await probabilities(model, located, rows, [corrupt(places.length), ...putBack])
    return places.map((_, block) => mean(given.slice(block * samples, (block + 1) * samples)))
  }
  const corrupted = mean(await probabilities(model, located, samples, [corrupt(1)]))
  return { located, clean, corrupted, restore }
}

/** Where a token stands, as the figures of the paper have it. A subject of one token is its last one. */
export const TOKEN_ROLES = [
  'first subject token',
  'middle subject tokens',
  'last subject token',
  'first token after it',
  'further tokens',
  'last token',
] as const

/** Traces of several facts as one. */
export interface AverageTrace {
  readonly facts: number
  readonly clean: number
  readonly corrupted: number
  /** The share of clean − corrupted that comes back [layer][role of {@link TOKEN_ROLES}]; null where no fact has such a token. */
  readonly shares: Readonly<Record<TracedSite, readonly (readonly (number | null)[])[]>>
}

/** Averages traces: the mean effect of each place over the mean of what the noise takes away. */
export function averageTraces(traces: readonly Trace[]): AverageTrace {
  const clean = mean(traces.map((trace) => trace.clean))
  const corrupted = mean(traces.map((trace) => trace.corrupted))
  const shares = {} as Record<TracedSite, (number | null)[][]>
  for (const site of TRACED_SITES) {
    const [layers = 0] = traces[0]?.restored[site].shape ?? []
    shares[site] = range(0, layers - 1).map((layer) =>
      TOKEN_ROLES.map((_, role) => {
        const effects = traces.flatMap((trace) => effectsAt(trace, site, layer, role))
        return effects.length === 0 ? null : mean(effects) / (clean - corrupted)
      }),
    )
  }
  return { facts: traces.length, clean, corrupted, shares }
}

/** A trace's mean effect at the tokens of a role; none where it has no such token. */
function effectsAt(trace: Trace, site: TracedSite, layer: number, role: number): number[] {
  const { tokens, corrupted, restored } = trace
  const places = tokens.flatMap((_, token) =>
    token >= trace.subject[0] && roleOf(trace, token) === role ? [token] : [],
  )
  if (places.length === 0) return []
  return [mean(places.map((token) => (restored[site].data[layer * tokens.length + token] ?? 0) - corrupted))]
}

function roleOf({ tokens, subject: [first, last] }: Trace, token: number): number {
  if (token === last) return 2
  if (token < last) return token === first ? 0 : 1
  if (token === tokens.length - 1) return 5
  return token === last + 1 ? 3 : 4
}

/** Layers for locate-then-edit methods. */
export interface ProposedLayers {
  /** Where the feed-forward brings back most at the subject's last token: for methods that change one layer. */
  readonly peak: number
  /** The layers around it, first and last, that bring back at least half as much: for methods that change several. */
  readonly range: readonly [number, number]
}

/** Proposes layers from an average; the same reading of the figures by which ROME and MEMIT chose theirs. */
export function proposeLayers({ shares }: AverageTrace): ProposedLayers {
  return proposeBy(shares['mlp-output'].map((roles) => roles[2] ?? 0))
}

/** The same from facts that were traced there only. */
export function proposeRecallLayers(recalls: readonly Recall[]): ProposedLayers {
  const [first] = recalls
  const taken = mean(recalls.map(({ clean, corrupted }) => clean - corrupted))
  const effects = (first?.restored ?? []).map((_, layer) =>
    mean(recalls.map(({ restored, corrupted }) => (restored[layer] ?? corrupted) - corrupted)),
  )
  return proposeBy(effects.map((effect) => effect / taken))
}

/** @param atSubject the share that each layer brings back */
function proposeBy(atSubject: readonly number[]): ProposedLayers {
  const most = Math.max(...atSubject)
  const peak = atSubject.indexOf(most)
  const isNear = (layer: number): boolean => (atSubject[layer] ?? 0) >= most / 2
  let [low, high] = [peak, peak]
  while (low > 0 && isNear(low - 1)) low--
  while (high < atSubject.length - 1 && isNear(high + 1)) high++
  return { peak, range: [low, high] }
}

function tracedLayers({ config: { layers, encoderLayers } }: LanguageModel): number {
  return encoderLayers > 0 ? encoderLayers : layers
}

/** Tokens run at once, about. */
const RUN_TOKENS = 1024

/** The layers put back with one: as many below as above, one more below of an even number; the residual stream alone. */
function around(site: TracedSite, layer: number, { layers, window }: { layers: number; window: number }): number[] {
  if (site === 'block-output') return [layer]
  const first = Math.max(0, layer - Math.floor(window / 2))
  return range(first, Math.min(layers, layer + Math.ceil(window / 2)) - 1)
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

/** The activations of the clean run at all traced sites, and what it gives the answer. */
interface CleanRun {
  readonly activations: readonly Tensor[]
  readonly probability: number
}

async function readClean(model: LanguageModel, located: Located): Promise<CleanRun> {
  const layers = tracedLayers(model)
  const at = range(0, located.prompt.length - 1).map((token) => ({ row: 0, token }))
  const sites = TRACED_SITES.flatMap((site) => range(0, layers - 1).map((layer) => `${site}.${layer}` as const))
  const read = [readAnswer(located, 1), ...sites.map((site) => ({ site, at }))]
  const { reads } = await model.run({ tokens: batch(located, 1), read })
  const [logProbs, ...activations] = reads
  const [probability = 0] = toProbabilities(located, logProbs)
  return { activations, probability }
}

/** The answer's probability in each of `rows` copies of the prompt. */
async function probabilities(
  model: LanguageModel,
  located: Located,
  rows: number,
  write: readonly Write[],
): Promise<number[]> {
  const { reads } = await model.run({ tokens: batch(located, rows), write, read: [readAnswer(located, rows)] })
  return toProbabilities(located, reads[0])
}

/** Reads the log-probabilities of the answer's tokens in all rows, one row after another. */
function readAnswer({ prompt, answer }: Located, rows: number): Read {
  const places = range(0, rows - 1).flatMap((row) =>
    Array.from(answer, (target, i): Position & { target: number } => ({ row, token: prompt.length - 1 + i, target })),
  )
  return { site: 'logits', at: places, as: 'log-probs', targets: places.map(({ target }) => target) }
}

/** Those of a row as the probability of the whole answer. */
function toProbabilities({ answer }: Located, logProbs: Tensor | undefined): number[] {
  if (logProbs === undefined) throw new WhicheditError('E_INTERNAL', { what: 'causal trace: the model gave no logits' })
  const { data } = logProbs
  return range(0, data.length / answer.length - 1).map((row) =>
    Math.exp(data.subarray(row * answer.length, (row + 1) * answer.length).reduce((sum, value) => sum + value, 0)),
  )
}

function batch({ row, prompt }: Located, rows: number): TokenBatch {
  return {
    rows: Array.from({ length: rows }, () => row),
    promptLengths: Array.from({ length: rows }, () => prompt.length),
  }
}

function chunk<T>(items: readonly T[], size: number): T[][] {
  return range(0, Math.ceil(items.length / size) - 1).map((at) => items.slice(at * size, (at + 1) * size))
}

/** Whole numbers from `first` to `last`. */
function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
