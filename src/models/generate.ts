/**
 * Generation with a cache that grows by exactly what is new: one session serves prompt and continuation. Rows of a
 * batch may differ in length: each row's new keys take the place after its own last one.
 */
import { WhicheditError } from '../errors.ts'
import { input, type Node } from '../graph/graph.ts'
import { argmax } from '../graph/ops/reduce.ts'
import { gatherRows } from '../graph/ops/rows.ts'
import { topK } from '../graph/ops/select.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Configuration } from './architecture.ts'
import {
  cachedAttention,
  fitsFusedAttention,
  type KeysValues,
  type Past,
  pastInputs,
  pastName,
  plainAttention,
  rotaryFeeds,
  rotaryTable,
  windowMask,
} from './attention.ts'
import { type Prefix, paddedIds } from './capture.ts'
import type { Edits } from './edits.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { GenerateOptions } from './model.ts'
import type { Engine } from './run.ts'
import { indices, openScope, patchAt, patchFeeds, patchKey, runLayers, weightFeeds, weightInputs } from './scope.ts'

/** The rows of a generation: prompts as token ids, and where to stop. */
export interface GenerationJob extends GenerateOptions {
  readonly prompts: readonly Int32Array[]
  /** What all prompts begin with, computed before. */
  readonly prefix: Prefix | null
  /** Is this the last token of a row's text? Called once for each new token. */
  readonly isEnd: (row: number, ids: readonly number[]) => Promise<boolean>
}

/** Writes on after each prompt; returns the new ids of each row. @throws E_CONTEXT_LENGTH */
export async function generateIds(engine: Engine, edits: Edits, job: GenerationJob): Promise<number[][]> {
  const { network, sessions } = engine
  const { config } = network
  const { prompts, prefix, maxNewTokens, topK: k } = job
  const longest = Math.max(...prompts.map((prompt) => prompt.length))
  if (longest + maxNewTokens > config.contextLength) {
    throw new WhicheditError('E_CONTEXT_LENGTH', { limit: config.contextLength, found: longest + maxNewTokens })
  }
  const sessionFor = (patch: MergedPatch, form: Form) => {
    const key = `generate ${k ?? 'greedy'} ${form} ${patchKey(patch, new Set(Object.keys(edits.dense)))}`
    return sessions.get(key, () => buildGraph(engine, { ...edits, patch }, k, form))
  }
  const constants = weightFeeds(edits.dense)
  const written: number[][] = prompts.map(() => [])
  const done = prompts.map(() => false)
  const positions = positionFeeds(config, job)
  let cache = prefix?.feeds ?? emptyCache(engine, prompts.length)
  let rows: readonly ArrayLike<number>[] = prompts.map((prompt) => prompt.subarray(prefix?.length ?? 0))
  const lengths = prompts.map((prompt) => prompt.length)

  for (let step = 0; step < maxNewTokens && done.includes(false); step++) {
    job.signal?.throwIfAborted()
    const B = rows.length
    const T = Math.max(...rows.map((row) => row.length))
    const last = rows.map((row, i) => i * T + row.length - 1)
    // Prompts end in the first step; after it, the graph without codebooks goes on.
    const ends = step === 0 ? last : []
    const patch = patchAt(edits.patch, ends)
    const form = chooseForm(config, step === 0 && prefix !== null ? 'shared' : 'own')
    const session = await sessionFor(patch, form)
    const outputs = await session.run(
      {
        ...constants,
        ...cache,
        ...patchFeeds(patch, ends),
        ...positions(form, lengths, T, step),
        ids: paddedIds(rows, T),
        last: indices(last),
      },
      { sizes: { B, T } },
    )
    const next = chooseTokens(outputs, B, job)
    for (const [row, id] of next.entries()) {
      const ids = written[row]
      if (ids === undefined || done[row]) continue
      ids.push(id)
      done[row] = await job.isEnd(row, ids)
    }
    cache = grownCache(engine, outputs)
    rows = next.map((id) => [id])
    for (const row of lengths.keys()) lengths[row] = (lengths[row] ?? 0) + 1
  }
  return written
}

function buildGraph(
  { network, weights }: Engine,
  { patch, dense }: Edits,
  k: number | undefined,
  form: Form,
): Record<string, Node> {
  const { config } = network
  const outputs: Record<string, Node> = {}
  const keep = (layer: number, grown: KeysValues): void => {
    outputs[`keys ${layer}`] = grown.keys
    outputs[`values ${layer}`] = grown.values
  }
  const attention =
    form === 'fused'
      ? cachedAttention(config, keep)
      : plainAttention(
          config,
          (layer) => pastInputs(config, layer, form),
          (layer, _, grown) => keep(layer, grown),
        )
  const scope = openScope({ weights, patch, fed: weightInputs(dense), attention })
  const logits = network.head(scope, gatherRows(runLayers(network, scope), input('last', ['B'], 'int64'))) // [B, V]
  if (k === undefined) return { ...outputs, next: argmax(logits) }
  const { values, indices: ids } = topK(logits, k)
  return { ...outputs, best: values, next: ids }
}

/** The runtime's fused attention, or plain products over a past. */
type Form = 'fused' | Past

/** The fused form, except where a model's heads forbid it, or a prefix: after a past it takes one token a row. */
function chooseForm(config: Configuration, past: Past): Form {
  return past === 'own' && fitsFusedAttention(config) ? 'fused' : past
}

/**
 * What tells each row's positions to the attention, by step. The fused form is told lengths, and writes over a short
 * prompt's padding; the plain form appends, so the padding of short prompts stays masked.
 */
function positionFeeds(
  config: Configuration,
  { prompts, prefix, maxNewTokens }: GenerationJob,
): (form: Form, lengths: readonly number[], T: number, step: number) => Record<string, AnyTensor> {
  const start = prefix?.length ?? 0
  const first = prompts.map((prompt) => prompt.length)
  const longest = Math.max(...first)
  const table = rotaryTable(config, longest + maxNewTokens)
  return (form, lengths, T, step) => {
    if (form === 'fused') {
      return {
        ...table,
        'last-position': { dtype: 'int32', shape: [lengths.length], data: Int32Array.from(lengths, (n) => n - 1) },
        total: { dtype: 'int32', shape: [], data: Int32Array.of(Math.max(...lengths)) },
      }
    }
    const from = lengths.map((length) => (step === 0 ? start : length - 1))
    const mask = step === 0 ? windowMask(from, start, T) : windowMask(first, longest, 1, longest + step)
    return { ...rotaryFeeds(config, from, T), mask }
  }
}

function chooseTokens(outputs: Readonly<Record<string, AnyTensor>>, B: number, job: GenerationJob): number[] {
  const ids = Array.from(outputs.next?.data ?? [], Number)
  const { topK: k, uniform } = job
  if (k === undefined) return ids
  if (uniform === undefined) throw new WhicheditError('E_INTERNAL', { what: 'sampling needs random numbers' })
  const logits = Array.from(outputs.best?.data ?? [], Number)
  return Array.from({ length: B }, (_, row) => {
    const among = logits.slice(row * k, (row + 1) * k)
    const largest = among[0] ?? 0
    const chances = among.map((logit) => Math.exp(logit - largest))
    let left = uniform() * chances.reduce((sum, chance) => sum + chance, 0)
    const chosen = chances.findIndex((chance) => {
      left -= chance
      return left < 0
    })
    return ids[row * k + Math.max(0, chosen)] ?? 0
  })
}

function emptyCache({ network: { config } }: Engine, B: number): Record<string, AnyTensor> {
  const empty = tensor(new Float32Array(0), [B, config.kvHeads, 0, config.headWidth])
  const cache: Record<string, Tensor> = {}
  for (let layer = 0; layer < config.layers; layer++) {
    cache[pastName('keys', layer)] = empty
    cache[pastName('values', layer)] = empty
  }
  return cache
}

function grownCache(
  { network: { config } }: Engine,
  outputs: Readonly<Record<string, AnyTensor>>,
): Record<string, AnyTensor> {
  const cache: Record<string, AnyTensor> = {}
  for (let layer = 0; layer < config.layers; layer++) {
    const keys = outputs[`keys ${layer}`]
    const values = outputs[`values ${layer}`]
    if (keys === undefined || values === undefined) throw new WhicheditError('E_INTERNAL', { what: 'no cache' })
    cache[pastName('keys', layer)] = keys
    cache[pastName('values', layer)] = values
  }
  return cache
}
