/**
 * Ordinary text as tokens, for statistics of a model's activations: the user's own, or, where there is none, text that
 * the model writes itself.
 *
 * Sampled text begins with a random token and goes on among the likeliest, which gave statistics close to those of real
 * text for quantised models (Liu et al. 2023, LLM-QAT, §3.1). It comes in chunks, each from a random stream of its own,
 * so that any chunk can be made again alone.
 */
import { createHash } from 'node:crypto'
import type { Context } from '../../context.ts'
import { cacheBytes, type Footprint, forwardBytes } from '../../models/footprint.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { Random } from '../../tensor/random.ts'

/** Tokens a row at most: long enough that most tokens have a context, short enough that attention stays cheap. */
export const ROW_TOKENS = 128
/** Tokens a chunk, about: what is lost when a job is stopped. */
export const CHUNK_TOKENS = 2048
/** Sampling among so many tokens keeps to sense without repeating itself. */
const TOP_K = 50

/** Caches of a chunk's text while it is written: those fed, those given out, and some that wait to be collected. */
const CACHES = 4

/** Bytes of a pass over a chunk. */
export function chunkBytes(model: Footprint): number {
  return forwardBytes(model, { tokens: CHUNK_TOKENS, attended: ROW_TOKENS, logits: 0 })
}

/** Bytes of writing a chunk and running it. */
export function calibrationBytes(model: Footprint): number {
  return CACHES * cacheBytes(model.config, CHUNK_TOKENS, model.config.layers) + chunkBytes(model)
}

/** Text in chunks. */
export interface CalibrationText {
  /** Two texts with one id are the same text. */
  readonly id: string
  readonly chunks: number
  /** The rows of a chunk, each of at least two tokens. */
  rows(chunk: number): Promise<readonly Int32Array[]>
}

/** Opens about so many tokens of the user's text (all of it where it is shorter), or, for null, of the model's own. */
export function openCalibrationText(
  model: LanguageModel,
  text: readonly string[] | null,
  tokens: number,
  ctx: Context,
): Promise<CalibrationText> {
  const random = ctx.random.stream('calibration text')
  return text === null
    ? Promise.resolve(sampledText(model, tokens, random, ctx.signal))
    : givenText(model, text, tokens, random)
}

/** Paragraphs in random order until there are enough. */
async function givenText(
  model: LanguageModel,
  text: readonly string[],
  tokens: number,
  random: Random,
): Promise<CalibrationText> {
  const paragraphs = text.flatMap((document) => document.split('\n')).filter((paragraph) => paragraph.trim() !== '')
  const chunks: Int32Array[][] = [[]]
  const hash = createHash('sha256')
  let inChunk = 0
  let left = tokens
  for (const paragraph of random.shuffle(paragraphs)) {
    if (left <= 0) break
    const ids = (await model.tokenizer.encode(paragraph)).ids.subarray(0, Math.min(ROW_TOKENS, left))
    if (ids.length < 2) continue
    if (inChunk >= CHUNK_TOKENS) {
      chunks.push([])
      inChunk = 0
    }
    chunks.at(-1)?.push(ids)
    hash.update(`${ids.length}:${ids.join()};`)
    inChunk += ids.length
    left -= ids.length
  }
  return { id: hash.digest('hex'), chunks: chunks.length, rows: async (chunk) => chunks[chunk] ?? [] }
}

function sampledText(model: LanguageModel, tokens: number, random: Random, signal: AbortSignal): CalibrationText {
  return {
    // One number of a stream tells streams apart as well as their seed would.
    id: `sampled ${tokens} ${random.stream('id').uniform()}`,
    chunks: Math.ceil(tokens / CHUNK_TOKENS),
    rows: async (chunk) => {
      const ofChunk = random.stream(String(chunk))
      const rows = Math.ceil(Math.min(CHUNK_TOKENS, tokens - chunk * CHUNK_TOKENS) / ROW_TOKENS)
      const starts = await Promise.all(
        Array.from({ length: rows }, (_, row) => drawStart(model, ofChunk.stream(`start ${row}`))),
      )
      const written = await model.generate(starts, {
        maxNewTokens: ROW_TOKENS - 1,
        topK: TOP_K,
        uniform: ofChunk.stream('tokens').uniform,
        signal,
      })
      const encoded = await Promise.all(starts.map((start) => model.tokenizer.encode(start)))
      const all = encoded.map(({ ids }, row) => Int32Array.of(...ids, ...(written[row]?.ids ?? [])))
      return all.filter((ids) => ids.length > 1)
    },
  }
}

/** A random token that is a word or the beginning of one. */
async function drawStart(model: LanguageModel, random: Random): Promise<string> {
  for (;;) {
    const text = await model.tokenizer.decode([random.integer(model.config.vocabulary)])
    if (/^\s?\p{L}+$/u.test(text)) return text
  }
}
