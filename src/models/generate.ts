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
import { type Tensor, tensor, zeros } from '../tensor/tensor.ts'
import type { Network } from './architecture.ts'
import {
  cachedAttention,
  crossInputs,
  crossName,
  fitsFusedAttention,
  type KeysValues,
  type Past,
  pastInputs,
  pastName,
  plainAttention,
  sinceInputs,
  sinceName,
} from './attention.ts'
import type { Edits } from './edits.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { GenerateOptions, ModelConfig } from './model.ts'
import { angleFeeds, angleTables, equalShares, tokenPositions, windowMask } from './positions.ts'
import type { Engine } from './run.ts'
import {
  indices,
  openScope,
  type PromptPlaces,
  patchAt,
  patchFeeds,
  patchKey,
  runLayers,
  type ScopePlan,
  weightFeeds,
  weightInputs,
} from './scope.ts'
import type { Recollection } from './side-memories.ts'
import { bucketFeeds, inputFeeds, maskFeeds, type Prefix, paddedIds } from './window.ts'

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
  const { prompts, prefix, maxNewTokens, topK: k } = job
  checkLengths(network.config, job)
  const form = chooseForm(network, prefix)
  const sessionFor = (patch: MergedPatch) => {
    const key = `generate ${k ?? 'greedy'} ${form} ${patchKey(patch, new Set(Object.keys(edits.dense)))}`
    return sessions.get(key, () => buildGraph(engine, { ...edits, patch }, k, form))
  }
  const written: number[][] = prompts.map(() => [])
  const done = prompts.map(() => false)
  const begun = await begin(engine, edits, job)
  const constants = { ...weightFeeds(edits.dense), ...begun.constants }
  const positions = positionFeeds(network, begun.rows, form, job)
  let { rows, cache } = begun
  let recalled: Readonly<Record<string, AnyTensor>> = {}
  const lengths = rows.map((row) => (prefix?.length ?? 0) + row.length)

  for (let step = 0; step < maxNewTokens && done.includes(false); step++) {
    job.signal?.throwIfAborted()
    const B = rows.length
    const T = Math.max(...rows.map((row) => row.length))
    const last = rows.map((row, i) => i * T + row.length - 1)
    // Prompts end in the first step; after it, the graph without codebooks goes on.
    const places: PromptPlaces = {
      promptEnds: (layer) => (step === 0 && layer >= network.config.encoderLayers ? last : []),
      // All of a prompt decides which side memory answers; the decision is kept.
      promptShares: (layer) => ({
        shares: step === 0 ? equalShares(rows, T) : zeros([B, T]),
        earlier: floatsOf(recalled[memoryName(layer)]),
      }),
    }
    const patch = patchAt(edits.patch, places)
    const session = await sessionFor(patch)
    const outputs = await session.run(
      {
        ...constants,
        ...cache,
        ...patchFeeds(patch, places),
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
    cache = grownCache(engine, outputs, prefix)
    recalled = outputs
    rows = next.map((id) => [id])
    for (const row of lengths.keys()) lengths[row] = (lengths[row] ?? 0) + 1
  }
  return written
}

/** What an encoder reads and what a decoder writes are counted apart. */
function checkLengths({ contextLength: limit, encoderLayers }: ModelConfig, job: GenerationJob): void {
  const longest = Math.max(...job.prompts.map((prompt) => prompt.length))
  const found = encoderLayers > 0 ? Math.max(longest, job.maxNewTokens) : longest + job.maxNewTokens
  if (found > limit) throw new WhicheditError('E_CONTEXT_LENGTH', { limit, found })
}

/** Where generation begins: the first tokens of each row, and what was computed before them. */
interface Beginning {
  readonly rows: readonly ArrayLike<number>[]
  readonly cache: Readonly<Record<string, AnyTensor>>
  readonly constants: Readonly<Record<string, AnyTensor>>
}

/** A decoder-only model begins with the prompts; an encoder-decoder reads them and begins with its start token. */
async function begin(engine: Engine, edits: Edits, { prompts, prefix }: GenerationJob): Promise<Beginning> {
  const { network, sessions } = engine
  const cache = emptyCache(engine, prompts.length, prefix)
  if (network.config.encoderLayers === 0) {
    const rows = prompts.map((prompt) => prompt.subarray(prefix?.length ?? 0))
    return { rows, cache, constants: prefix?.feeds ?? {} }
  }
  const feeds = inputFeeds(network, prompts)
  const I = Math.max(...prompts.map((prompt) => prompt.length))
  const last = prompts.map((prompt, row) => row * I + prompt.length - 1)
  const places: PromptPlaces = {
    promptEnds: (layer) => (layer < network.config.encoderLayers ? last : []),
    promptShares: () => ({ shares: equalShares(prompts, I), earlier: null }),
  }
  const patch = patchAt(edits.patch, places)
  const key = `encode ${patchKey(patch, new Set(Object.keys(edits.dense)))}`
  const session = await sessions.get(key, () => {
    const outputs: Record<string, Node> = {}
    const keepCross = (layer: number, { keys, values }: KeysValues): void => {
      outputs[crossName('keys', layer)] = keys
      outputs[crossName('values', layer)] = values
    }
    // The decoder's own work is built too, but nothing asks for it.
    const attention = plainAttention(network, { keepCross })
    runLayers(network, openScope({ ...scopeOf(engine, { ...edits, patch }), attention }))
    return outputs
  })
  const fed = { ...feeds, ...weightFeeds(edits.dense), ...patchFeeds(patch, places) }
  const crossed = await session.run(fed, { sizes: { B: prompts.length, I } })
  return { rows: prompts.map(() => [network.decoderStart ?? 0]), cache, constants: { ...feeds, ...crossed } }
}

function scopeOf({ network, weights }: Engine, { patch, dense }: Edits): Omit<ScopePlan, 'attention'> {
  return { network, weights, patch, fed: weightInputs(dense) }
}

function buildGraph(engine: Engine, edits: Edits, k: number | undefined, form: Form): Record<string, Node> {
  const { network } = engine
  const outputs: Record<string, Node> = {}
  const keep = (layer: number, grown: KeysValues): void => {
    outputs[`keys ${layer}`] = grown.keys
    outputs[`values ${layer}`] = grown.values
  }
  const attention =
    form === 'fused'
      ? cachedAttention(network, keep)
      : plainAttention(network, {
          ...(form === 'shared'
            ? {
                shared: (layer) => pastInputs(network.config, layer, 'shared'),
                past: (layer) => sinceInputs(network.config, layer),
              }
            : { past: (layer) => pastInputs(network.config, layer) }),
          keep: (layer, _, grown) => keep(layer, grown),
          cross: (layer) => crossInputs(network.config, layer),
        })
  const atRecall = (layer: number, { activations }: Recollection): void => {
    outputs[memoryName(layer)] = activations
  }
  const scope = openScope({ ...scopeOf(engine, edits), attention, atRecall })
  const x = runLayers(network, scope, network.config.encoderLayers > 0 ? { part: 'decoder' } : {})
  const logits = network.head(scope, gatherRows(x, input('last', ['B'], 'int64'))) // [B, V]
  if (k === undefined) return { ...outputs, next: argmax(logits) }
  const { values, indices: ids } = topK(logits, k)
  return { ...outputs, best: values, next: ids }
}

/** The runtime's fused attention, or plain products over a past. */
type Form = 'fused' | Past

/** The fused form, except where a model's heads forbid it, or rows share a beginning, which it would repeat for each. */
function chooseForm(network: Network, prefix: Prefix | null): Form {
  if (prefix !== null) return 'shared'
  return fitsFusedAttention(network) ? 'fused' : 'own'
}

/**
 * What tells each row's positions to the attention, by step. The fused form is told lengths, and writes over a short
 * prompt's padding; the plain form appends, so the padding of short prompts stays masked.
 */
function positionFeeds(
  network: Network,
  rows: readonly ArrayLike<number>[],
  form: Form,
  { prefix, maxNewTokens }: GenerationJob,
): (lengths: readonly number[], T: number, step: number) => Record<string, AnyTensor> {
  const start = prefix?.length ?? 0
  const first = rows.map((row) => start + row.length)
  const longest = Math.max(...first)
  const tables = angleTables(network.attention, longest + maxNewTokens)
  return (lengths, T, step) => {
    const from = lengths.map((length) => (step === 0 ? start : length - 1))
    const positions = tokenPositions(from, T)
    if (form === 'fused') {
      return {
        ...tables,
        positions,
        'last-position': { dtype: 'int32', shape: [lengths.length], data: Int32Array.from(lengths, (n) => n - 1) },
        total: { dtype: 'int32', shape: [], data: Int32Array.of(Math.max(...lengths)) },
      }
    }
    const places = step === 0 ? { past: from, P: start, T } : { past: first, P: longest, T: 1, S: longest + step }
    const bucketed = step === 0 ? { start, T, S: start + T } : { start: longest + step - 1, T: 1, S: longest + step }
    return {
      positions,
      ...angleFeeds(network.attention, from, T),
      ...bucketFeeds(network, bucketed),
      ...maskFeeds(network, (window) => windowMask({ ...places, window })),
    }
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

/** What a step's graph calls the activations of side memories. */
function memoryName(layer: number): string {
  return `memories ${layer}`
}

function floatsOf(value: AnyTensor | undefined): Tensor | null {
  return value?.dtype === 'float32' ? value : null
}

function emptyCache({ network: { config } }: Engine, B: number, prefix: Prefix | null): Record<string, AnyTensor> {
  const empty = tensor(new Float32Array(0), [B, config.kvHeads, 0, config.headWidth])
  const cache: Record<string, Tensor> = {}
  for (let layer = config.encoderLayers; layer < config.layers; layer++) {
    for (const what of ['keys', 'values'] as const) cache[cacheName(what, layer, prefix)] = empty
  }
  return cache
}

function grownCache(
  { network: { config } }: Engine,
  outputs: Readonly<Record<string, AnyTensor>>,
  prefix: Prefix | null,
): Record<string, AnyTensor> {
  const cache: Record<string, AnyTensor> = {}
  for (let layer = config.encoderLayers; layer < config.layers; layer++) {
    for (const what of ['keys', 'values'] as const) {
      const grown = outputs[`${what} ${layer}`]
      if (grown === undefined) throw new WhicheditError('E_INTERNAL', { what: 'no cache' })
      cache[cacheName(what, layer, prefix)] = grown
    }
  }
  return cache
}

function cacheName(what: keyof KeysValues, layer: number, prefix: Prefix | null): string {
  return prefix === null ? pastName(what, layer) : sinceName(what, layer)
}
