/**
 * What all rows of a batch begin with, computed for one row and attended to by all: twenty questions after the same
 * context of a thousand tokens cost one pass over it.
 */
import type { Node } from '../graph/graph.ts'
import { type KeysValues, pastName, plainAttention } from './attention.ts'
import type { Edits } from './edits.ts'
import type { Engine } from './run.ts'
import { openScope, patchAt, patchFeeds, patchKey, runLayers, weightFeeds, weightInputs } from './scope.ts'
import { openWindow, type Prefix } from './window.ts'

/** Where rows share fewer tokens than this, a pass of its own for them saves nothing. */
const LEAST_TOKENS = 64

/** Computes what the prompts of a batch begin with; null where that is not worth a pass of its own. */
export type ComputePrefix = (edits: Edits, prompts: readonly Int32Array[]) => Promise<Prefix | null>

/** For batches that have nothing to do with each other. */
export function freshPrefix(engine: Engine): ComputePrefix {
  return async (edits, prompts) =>
    prompts.length < 2 ? null : ((await runShared(engine, edits, prompts))?.prefix ?? null)
}

/** What prompts begin with, and its tokens. */
interface Shared {
  readonly ids: Int32Array
  readonly prefix: Prefix
}

/**
 * For texts that are asked again and again as they grow: what a batch begins with, a single text too, is kept for as long as all
 * of every further batch begin with it.
 */
export function keepPrefix(engine: Engine): ComputePrefix {
  let kept: Shared | null = null
  return async (edits, prompts) => {
    const isKept = (ids: Int32Array) => prompts.every((prompt) => prompt.length > ids.length && begins(prompt, ids))
    if (kept === null || !isKept(kept.ids)) kept = await runShared(engine, edits, prompts)
    return kept?.prefix ?? null
  }
}

async function runShared(engine: Engine, edits: Edits, prompts: readonly Int32Array[]): Promise<Shared | null> {
  const [first] = prompts
  // An encoder's tokens depend on all others, before and after; side memories are chosen by all of a prompt.
  const isWhole = engine.network.config.encoderLayers > 0 || edits.patch.memories.size > 0
  if (first === undefined || isWhole) return null
  const length = sharedLength(prompts)
  if (length < LEAST_TOKENS) return null
  const ids = first.subarray(0, length)
  const window = openWindow(engine.network, { tokens: { rows: [ids] } })
  // No prompt ends in it: codebooks have no say.
  const places = { ...window, promptEnds: () => [] }
  const patch = patchAt(edits.patch, places)
  const key = `prefix ${patchKey(patch, new Set(Object.keys(edits.dense)))}`
  const session = await engine.sessions.get(key, () => buildGraph(engine, { ...edits, patch }))
  const feeds = { ...window.feeds, ...weightFeeds(edits.dense), ...patchFeeds(patch, places) }
  return { ids, prefix: { length, feeds: await session.run(feeds, { sizes: window.sizes }) } }
}

function begins(prompt: Int32Array, ids: Int32Array): boolean {
  return ids.every((id, i) => prompt[i] === id)
}

/** The indices of prompts that begin alike, so that each group but the last has something worth a pass of its own; the rest comes last. */
export function groupByStart(prompts: readonly Int32Array[]): number[][] {
  const groups = new Map<string, number[]>()
  for (const [index, prompt] of prompts.entries()) {
    const start = prompt.length > LEAST_TOKENS ? prompt.subarray(0, LEAST_TOKENS).join() : ''
    groups.set(start, [...(groups.get(start) ?? []), index])
  }
  const alike = [...groups].flatMap(([start, group]) => (start !== '' && group.length > 1 ? [group] : []))
  const rest = [...groups].flatMap(([start, group]) => (start !== '' && group.length > 1 ? [] : group))
  return rest.length > 0 ? [...alike, rest] : alike
}

/** How many tokens all prompts begin with, the last of each aside: something is always asked after it. */
function sharedLength(prompts: readonly Int32Array[]): number {
  const [first = new Int32Array(0), ...others] = prompts
  const most = Math.min(...prompts.map((prompt) => prompt.length)) - 1
  let length = 0
  while (length < most && others.every((other) => other[length] === first[length])) length++
  return length
}

function buildGraph({ network, weights }: Engine, { patch, dense }: Edits): Record<string, Node> {
  const outputs: Record<string, Node> = {}
  const keep = (layer: number, { keys, values }: KeysValues): void => {
    outputs[pastName('keys', layer)] = keys
    outputs[pastName('values', layer)] = values
  }
  const attention = plainAttention(network, { keep })
  const scope = openScope({ network, weights, patch, fed: weightInputs(dense), attention })
  runLayers(network, scope)
  return outputs
}
