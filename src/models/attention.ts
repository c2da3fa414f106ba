/**
 * Attention in two forms: plain products, which can be differentiated and go on from captured keys and values; and the
 * runtime's fused operation with a growing cache, for generation. Grouped-query attention never repeats keys or values:
 * the G query heads of one key head stand one below the other. E is the width of a head.
 *
 * Symbols: B rows; T tokens of each row that are computed now; P positions before them; S positions attended to, N of them a row's
 * own where others are shared; I tokens of an encoder's input.
 */
import { type Dim, input, type Node, times } from '../graph/graph.ts'
import { groupedAttention, rotary } from '../graph/ops/attention.ts'
import { add, scale, tanh } from '../graph/ops/elementwise.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { softmax } from '../graph/ops/normalize.ts'
import { gatherRows } from '../graph/ops/rows.ts'
import { concat, part, reshape, transpose } from '../graph/ops/shape.ts'
import type { AttentionForm, Layers, Scope } from './architecture.ts'
import type { ModelConfig } from './model.ts'
import { rotariesOf } from './positions.ts'

/** One layer's attention, as the scope offers it. */
export type Attention = Scope['attention']

/** What attention needs to know of a network. */
export type AttentionNetwork = Pick<Layers, 'config' | 'attention'>

/** Keys and values of one layer [B, KV, ·, E]. */
export interface KeysValues {
  readonly keys: Node
  readonly values: Node
}

/** What plain attention goes on from, and who is told what it makes. */
export interface PlainAttentionPlan {
  /** A layer's keys and values of a beginning that all rows share [1, KV, P, E]; they stand before all others. */
  readonly shared?: (layer: number) => KeysValues
  /** A layer's earlier keys and values of each row, which stand before the new ones. */
  readonly past?: (layer: number) => KeysValues
  /** Told each layer's new keys and values, and all of each row with its past. */
  readonly keep?: (layer: number, made: KeysValues, all: KeysValues) => void
  /** A decoder's keys and values of what the encoder made, computed before. */
  readonly cross?: (layer: number) => KeysValues
  /** Told those of each layer. */
  readonly keepCross?: (layer: number, made: KeysValues) => void
}

/** Plain attention. Where nothing stands before the new positions, mask and angles are the same for all rows. */
export function plainAttention(network: AttentionNetwork, plan: PlainAttentionPlan = {}): Attention {
  const { shared, past, keep, cross, keepCross } = plan
  const { heads: H, kvHeads: KV, headWidth: E, encoderLayers } = network.config
  const G = H / KV
  const isFirst = past === undefined && shared === undefined
  const rows: Dim = isFirst ? 1 : 'B'
  const attended = isFirst ? 'T' : 'S'
  const ownSize = shared === undefined ? 'S' : 'N'
  const turn = rotation(network, rows)
  const own = masks(network.attention, (name) => input(name, [rows, 1, 1, 'T', attended]))
  const whole = input('input-mask', ['B', 1, 1, 1, 'I'])
  const inputBuckets = input('input-buckets', ['I', 'I'], 'int64')
  const ownBuckets = input('buckets', ['T', attended], 'int64')
  const bias = (distances: Node, inEncoder: boolean): Node =>
    transpose(gatherRows(distances, inEncoder ? inputBuckets : ownBuckets), [2, 0, 1]) // [H, T, S]

  return (layer, { q, k, v }, { kind = 'self', distances } = {}) => {
    const form = formOf(network, layer)
    const inEncoder = layer < encoderLayers
    const [queries, from] = [inEncoder ? 'I' : 'T', inEncoder || kind === 'cross' ? 'I' : 'T']
    const turned = kind === 'cross' ? (x: Node) => x : turn(form)
    const heads = turned(reshape(q, ['B', queries, H, E]))
    const grouped = transpose(reshape(heads, ['B', queries, KV, G, E]), [0, 2, 3, 1, 4]) // [B, KV, G, T, E]
    const made = {
      keys: transpose(turned(reshape(k, ['B', from, KV, E])), [0, 2, 1, 3]), // [B, KV, T, E]
      values: transpose(reshape(v, ['B', from, KV, E]), [0, 2, 1, 3]),
    }
    const isOwn = !inEncoder && kind === 'self'
    const before = kind === 'cross' ? cross?.(layer) : undefined
    const { keys, values } = isOwn && past !== undefined ? join(past(layer), made, ownSize) : (before ?? made) // [B, KV, S, E]
    if (isOwn) keep?.(layer, made, { keys, values })
    if (kind === 'cross') keepCross?.(layer, made)
    const beginning = isOwn ? shared?.(layer) : undefined
    const S = isOwn ? attended : (keys.shape[2] ?? 'S')
    const stacked = reshape(grouped, ['B', KV, times(G, queries), E])
    const ownProducts = matmul(stacked, keys, 'b', form.scale) // [B, KV, G·T, S]
    const sharedProducts = beginning && multiplyShared(stacked, beginning.keys, 'b', form.scale) // [B, KV, G·T, P]
    const products = sharedProducts ? concat(sharedProducts, ownProducts, 3, S) : ownProducts
    const capped = form.softcap === null ? products : softCap(products, form.softcap)
    const scores = reshape(capped, ['B', KV, G, queries, S])
    const biased =
      distances === undefined ? scores : add(scores, reshape(bias(distances, inEncoder), [1, KV, G, queries, S]))
    const weights = reshape(softmax(add(biased, isOwn ? own(form) : whole)), ['B', KV, times(G, queries), S])
    const mixed =
      beginning && sharedProducts
        ? add(
            multiplyShared(part(weights, sharedProducts, 3, 'start'), beginning.values),
            matmul(part(weights, ownProducts, 3, 'end'), values),
          )
        : matmul(weights, values) // [B, KV, G·T, E]
    const parted = transpose(reshape(mixed, ['B', KV, G, queries, E]), [0, 3, 1, 2, 4]) // [B, T, KV, G, E]
    return reshape(parted, [times('B', queries), H * E])
  }
}

/** A product of each row's matrix [B, KV, M, ·] with one that all share [1, KV, ·, ·]: the rows stand one below the other, nothing is repeated. */
function multiplyShared(rows: Node, shared: Node, transposed: '' | 'b' = '', factor = 1): Node {
  const [B = 'B', KV = 1, M = 'M', inner = 'E'] = rows.shape
  const [, , ...matrix] = shared.shape
  const stacked = reshape(transpose(rows, [1, 0, 2, 3]), [KV, times(B, M), inner])
  const product = matmul(stacked, reshape(shared, [KV, ...matrix]), transposed, factor)
  return transpose(reshape(product, [KV, B, M, product.shape[2] ?? 'E']), [1, 0, 2, 3])
}

/** `c · tanh(x / c)`: large values are pressed together below c (Gemma Team 2024, arXiv 2408.00118). */
export function softCap(x: Node, cap: number): Node {
  return scale(tanh(scale(x, 1 / cap)), cap)
}

/** How a form's heads turn, each rotary embedding with inputs of its own. */
function rotation({ attention }: AttentionNetwork, rows: Dim): (form: AttentionForm) => (x: Node) => Node {
  const angles = rotariesOf(attention).map(({ width }, i) => ({
    cos: input(`cos ${i}`, [rows, 'T', 1, width]),
    sin: input(`sin ${i}`, [rows, 'T', 1, width]),
  }))
  return (form) => {
    const found = form.rotary && angles[rotariesOf(attention).indexOf(form.rotary)]
    return (x) => (form.rotary && found ? rotary(x, found.cos, found.sin, form.rotary.pairs) : x)
  }
}

/** One mask for each window that layers have. */
function masks(forms: readonly AttentionForm[], make: (name: string) => Node): (form: AttentionForm) => Node {
  const made = new Map<number | null, Node>()
  for (const { window } of forms) if (!made.has(window)) made.set(window, make(maskName(window)))
  return ({ window }) => made.get(window) ?? make(maskName(window))
}

/** The input that holds the mask of a window. */
export function maskName(window: number | null): string {
  return window === null ? 'mask' : `mask ${window}`
}

function formOf({ attention }: AttentionNetwork, layer: number): AttentionForm {
  const form = attention[layer]
  if (form === undefined) throw new RangeError(`no attention form for layer ${layer}`)
  return form
}

function join(past: KeysValues, made: KeysValues, size: Dim): KeysValues {
  return { keys: concat(past.keys, made.keys, 2, size), values: concat(past.values, made.values, 2, size) }
}

/** Whose earlier keys and values a row attends to: its own, or those of a beginning that all rows share. */
export type Past = 'own' | 'shared'

/** The inputs that hold a layer's earlier keys and values: of each row [B, KV, P, E], or of all rows [1, KV, P, E]. */
export function pastInputs({ kvHeads, headWidth }: ModelConfig, layer: number, past: Past = 'own'): KeysValues {
  const shape = [past === 'shared' ? 1 : 'B', kvHeads, 'P', headWidth]
  return { keys: input(pastName('keys', layer), shape), values: input(pastName('values', layer), shape) }
}

/** The inputs that hold what each row has after a beginning that all share [B, KV, W, E]. */
export function sinceInputs({ kvHeads, headWidth }: ModelConfig, layer: number): KeysValues {
  const shape = ['B', kvHeads, 'W', headWidth]
  return { keys: input(sinceName('keys', layer), shape), values: input(sinceName('values', layer), shape) }
}

/** The inputs that hold a decoder layer's keys and values of what the encoder made [B, KV, I, E]. */
export function crossInputs({ kvHeads, headWidth }: ModelConfig, layer: number): KeysValues {
  const rows = ['B', kvHeads, 'I', headWidth]
  return { keys: input(crossName('keys', layer), rows), values: input(crossName('values', layer), rows) }
}

/** The name of such an input. */
export function crossName(what: keyof KeysValues, layer: number): string {
  return `cross-${what} ${layer}`
}

/** The name of an input of {@link pastInputs}. */
export function pastName(what: keyof KeysValues, layer: number): string {
  return `past-${what} ${layer}`
}

/** The name of an input of {@link sinceInputs}. */
export function sinceName(what: keyof KeysValues, layer: number): string {
  return `since-${what} ${layer}`
}

/** Does the runtime's fused attention take a network's heads? */
export function fitsFusedAttention({ config, attention }: AttentionNetwork): boolean {
  const widths = [config.headWidth, ...rotariesOf(attention).map(({ width }) => width)]
  return widths.every((width) => width % FUSED_HEAD_STEP === 0) && attention.every(({ relative }) => relative === null)
}

// onnxruntime 1.30: GroupQueryAttention with rotary embedding refuses other head sizes.
const FUSED_HEAD_STEP = 16

/** Fused attention with a growing cache; `keep` is told each layer's grown cache. */
export function cachedAttention(
  network: AttentionNetwork,
  keep: (layer: number, grown: KeysValues) => void,
): Attention {
  const { heads, kvHeads, headWidth } = network.config
  const lastPosition = input('last-position', ['B'], 'int32')
  const total = input('total', [], 'int32')
  const tables = rotariesOf(network.attention).map(({ width }, i) => ({
    cos: input(`cos ${i}`, ['positions', width / 2]),
    sin: input(`sin ${i}`, ['positions', width / 2]),
  }))
  return (layer, { q, k, v }) => {
    const form = formOf(network, layer)
    const angles = form.rotary && tables[rotariesOf(network.attention).indexOf(form.rotary)]
    const past = pastInputs(network.config, layer)
    const { output, keys, values } = groupedAttention(
      {
        q: reshape(q, ['B', 'T', heads * headWidth]),
        k: reshape(k, ['B', 'T', kvHeads * headWidth]),
        v: reshape(v, ['B', 'T', kvHeads * headWidth]),
        pastKeys: past.keys,
        pastValues: past.values,
        lastPosition,
        total,
        ...(angles ? { angles } : {}),
      },
      {
        heads,
        kvHeads,
        scale: form.scale,
        softcap: form.softcap ?? 0,
        window: form.window ?? 0,
        pairs: form.rotary?.pairs ?? '',
      },
    )
    keep(layer, { keys, values })
    return reshape(output, ['B*T', heads * headWidth])
  }
}
