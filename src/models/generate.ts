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
  pastInputs,
  plainAttention,
  rotaryFeeds,
  rotaryTable,
  windowMask,
} from './attention.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { GenerateOptions } from './model.ts'
import type { Edits, Engine } from './run.ts'
import { indices, openScope, patchAt, patchFeeds, patchKey, TOKENS } from './scope.ts'

/** The rows of a generation: prompts as token ids, and where to stop. */
export interface GenerationJob extends GenerateOptions {
  readonly prompts: readonly Int32Array[]
  /** Is this the last token of a row's text? Called once for each new token. */
  readonly isEnd: (row: number, ids: readonly number[]) => Promise<boolean>
}

/** Writes on after each prompt; returns the new ids of each row. @throws E_CONTEXT_LENGTH */
export async function generateIds(engine: Engine, edits: Edits, job: GenerationJob): Promise<number[][]> {
  const { network, sessions } = engine
  const { config } = network
  const { prompts, maxNewTokens, topK: k } = job
  const longest = Math.max(...prompts.map((prompt) => prompt.length))
  if (longest + maxNewTokens > config.contextLength) {
    throw new WhicheditError('E_CONTEXT_LENGTH', { limit: config.contextLength, found: longest + maxNewTokens })
  }
  const sessionFor = (patch: MergedPatch) => {
    const key = `generate ${k ?? 'greedy'} ${patchKey(patch, new Set(Object.keys(edits.dense)))}`
    return sessions.get(key, () => buildGraph(engine, { ...edits, patch }, k))
  }
  const constants: Record<string, AnyTensor> = {}
  for (const [name, value] of Object.entries(edits.dense)) constants[`weight ${name}`] = value
  const written: number[][] = prompts.map(() => [])
  const done = prompts.map(() => false)
  const positions = positionFeeds(config, prompts, longest + maxNewTokens)
  let cache = emptyCache(engine, prompts.length)
  let rows: readonly ArrayLike<number>[] = prompts
  const lengths = prompts.map((prompt) => prompt.length)

  for (let step = 0; step < maxNewTokens && done.includes(false); step++) {
    job.signal?.throwIfAborted()
    const B = rows.length
    const T = Math.max(...rows.map((row) => row.length))
    const last = rows.map((row, i) => i * T + row.length - 1)
    // Prompts end in the first step; after it, the graph without codebooks goes on.
    const ends = step === 0 ? last : []
    const patch = patchAt(edits.patch, ends)
    const session = await sessionFor(patch)
    const outputs = await session.run(
      {
        ...constants,
        ...cache,
        ...patchFeeds(patch, ends),
        ...positions(lengths, T, step),
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
): Record<string, Node> {
  const { config } = network
  const outputs: Record<string, Node> = {}
  const fed = new Map<string, Node>()
  for (const name of Object.keys(dense)) fed.set(name, input(`weight ${name}`, dense[name]?.shape ?? []))
  const keep = (layer: number, grown: KeysValues): void => {
    outputs[`keys ${layer}`] = grown.keys
    outputs[`values ${layer}`] = grown.values
  }
  const attention = fitsFusedAttention(config)
    ? cachedAttention(config, keep)
    : plainAttention(
        config,
        (layer) => pastInputs(config, layer),
        (layer, _, grown) => keep(layer, grown),
      )
  const scope = openScope({ weights, patch, fed, attention })
  let x = network.embed(scope, input('ids', [TOKENS], 'int64'))
  for (let layer = 0; layer < config.layers; layer++) {
    x = network.fromDownProjection(scope, layer, network.toDownProjection(scope, layer, x))
  }
  const logits = network.head(scope, gatherRows(x, input('last', ['B'], 'int64'))) // [B, V]
  if (k === undefined) return { ...outputs, next: argmax(logits) }
  const { values, indices: ids } = topK(logits, k)
  return { ...outputs, best: values, next: ids }
}

/**
 * What tells each row's positions to the attention, by step. The fused form is told lengths, and writes over a short
 * prompt's padding; the plain form appends, so the padding of short prompts stays masked.
 */
function positionFeeds(
  config: Configuration,
  prompts: readonly Int32Array[],
  most: number,
): (lengths: readonly number[], T: number, step: number) => Record<string, AnyTensor> {
  if (fitsFusedAttention(config)) {
    const table = rotaryTable(config, most)
    return (lengths) => ({
      ...table,
      'last-position': { dtype: 'int32', shape: [lengths.length], data: Int32Array.from(lengths, (n) => n - 1) },
      total: { dtype: 'int32', shape: [], data: Int32Array.of(Math.max(...lengths)) },
    })
  }
  const first = prompts.map((prompt) => prompt.length)
  const longest = Math.max(...first)
  return (lengths, T, step) => {
    const from = step === 0 ? first.map(() => 0) : lengths.map((length) => length - 1)
    const mask = step === 0 ? windowMask(from, 0, T) : windowMask(first, longest, 1, longest + step)
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
    cache[`past-keys ${layer}`] = empty
    cache[`past-values ${layer}`] = empty
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
    cache[`past-keys ${layer}`] = keys
    cache[`past-values ${layer}`] = values
  }
  return cache
}

function paddedIds(rows: readonly ArrayLike<number>[], T: number): Tensor<'int64'> {
  const ids = new BigInt64Array(rows.length * T)
  rows.forEach((row, i) => {
    for (let t = 0; t < row.length; t++) ids[i * T + t] = BigInt(row[t] ?? 0)
  })
  return { dtype: 'int64', shape: [ids.length], data: ids }
}
