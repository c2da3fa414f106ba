/**
 * A patch as the bytes of one file, and back bit for bit.
 *
 *   8 bytes   length of the header, little-endian
 *   header    JSON: {format, parts, report, state}; a tensor stands in it as {shape}, and without state that is missing
 *   numbers   float32, little-endian, of each tensor in the order in which the header names them
 *
 * Without offsets there is nothing to overlap or to point outside. A file comes from anywhere: its header is checked against a
 * schema, every shape against the bytes that are there and against the shapes beside it, every number for being finite.
 */
import { z } from 'zod'
import { WhicheditError } from '../errors.ts'
import { printable } from '../printable.ts'
import { sizeOf, type Tensor, tensor } from '../tensor/tensor.ts'
import { parseJsonObject } from './json.ts'
import {
  type AdapterCluster,
  type AdapterClustersPart,
  type ClusterPoint,
  type CodebookPart,
  type ContextEntry,
  type ContextPart,
  type LowRankPart,
  type NeuronsPart,
  type Patch,
  type Retrieval,
  type SideMemoriesPart,
  UNIT_ACTIVATIONS,
} from './patch.ts'

const FORMAT = 'whichedit/patch@1'
const LENGTH_BYTES = 8
/** Far above any header: the texts of thousands of contexts. */
const MAX_HEADER_BYTES = 64 * 2 ** 20
/** More than the tensors of any state have. */
const MAX_DIMENSIONS = 4
/** What a shape's numbers may be: enough for every weight, little enough that their product stays exact. */
const MAX_SIZE = 2 ** 26

type LowRankOf<T> = Omit<LowRankPart, 'left' | 'right'> & { left: T; right: T }
type ScopeRetrieval = Retrieval & { by: 'scope' }
type ClusterOf<T> = Omit<AdapterCluster, 'centre' | 'points'> & {
  centre: T
  points: readonly (Omit<ClusterPoint, 'key'> & { key: T })[]
}

/** A part whose tensors are, or stand for, `T`. */
type PartOf<T> =
  | LowRankOf<T>
  | { kind: 'dense'; weight: string; delta: T }
  | (Pick<CodebookPart, 'kind' | 'layer' | 'labels'> & { keys: T; values: T; radii: T })
  | (Pick<NeuronsPart, 'kind' | 'layer' | 'activation'> & { input: T; biases: T; output: T })
  | (Pick<SideMemoriesPart, 'kind' | 'layer'> & { deltas: T; thresholds: T })
  | (Omit<ContextPart, 'retrieval' | 'adapters' | 'entries'> & {
      retrieval: Exclude<Retrieval, { by: 'scope' }> | (Omit<ScopeRetrieval, 'map'> & { map: T })
      adapters?: readonly LowRankOf<T>[] | undefined
      entries: readonly (Omit<ContextEntry, 'vector'> & { vector: T })[]
    })
  | (Pick<AdapterClustersPart, 'kind' | 'layer'> & {
      clusters: readonly ClusterOf<T>[]
      blocks: readonly (readonly LowRankOf<T>[])[]
    })

/** What stands for a tensor in the header. */
type Shaped = Pick<Tensor, 'shape'>

const sizes = z.array(z.int().min(0).max(MAX_SIZE))
const shape = (dimensions: number) => z.strictObject({ shape: sizes.length(dimensions) })
const vectorSource = z.union([z.strictObject({ encoder: z.string() }), z.strictObject({ layer: z.int().min(0) })])
const asked = { candidates: z.int().min(1), ask: z.string() }
const lowRank = z.strictObject({ kind: z.literal('low-rank'), weight: z.string(), left: shape(2), right: shape(2) })
const part = z.discriminatedUnion('kind', [
  lowRank,
  z.strictObject({ kind: z.literal('dense'), weight: z.string(), delta: shape(2) }),
  z.strictObject({
    kind: z.literal('codebook'),
    layer: z.int().min(0),
    keys: shape(2),
    values: shape(2),
    radii: shape(1),
    labels: z.array(z.array(z.int().min(0))),
  }),
  z.strictObject({
    kind: z.literal('neurons'),
    layer: z.int().min(0),
    activation: z.enum(UNIT_ACTIVATIONS),
    input: shape(2),
    biases: shape(1),
    output: shape(2),
  }),
  z.strictObject({
    kind: z.literal('side-memories'),
    layer: z.int().min(0),
    deltas: shape(3),
    thresholds: shape(1),
  }),
  z.strictObject({
    kind: z.literal('context'),
    retrieval: z.discriminatedUnion('by', [
      z.strictObject({ by: z.literal('cosine'), vectors: vectorSource, above: z.number().nullable() }),
      z.strictObject({ by: z.literal('scope'), vectors: vectorSource, map: shape(2), above: z.number() }),
      z.strictObject({ by: z.literal('letters'), below: z.number() }),
    ]),
    confirmation: z
      .discriminatedUnion('by', [
        z.strictObject({ ...asked, by: z.literal('choice'), none: z.array(z.string()), maxNewTokens: z.int().min(1) }),
        z.strictObject({ ...asked, by: z.literal('likelihood'), yes: z.string(), no: z.string() }),
      ])
      .nullable(),
    loop: z
      .strictObject({
        format: z.enum(['free', 'constrained']),
        examples: z.string(),
        subquestions: z.int().min(1),
        maxNewTokens: z.int().min(1),
      })
      .optional(),
    adapters: z.array(lowRank).optional(),
    entries: z.array(
      z.strictObject({
        key: z.string(),
        sentence: z.string(),
        vector: shape(1),
        before: z.string(),
        after: z.string(),
      }),
    ),
  }),
  z.strictObject({
    kind: z.literal('adapter-clusters'),
    layer: z.int().min(0),
    clusters: z.array(
      z.strictObject({
        centre: shape(1),
        radius: z.number().min(0),
        label: z.array(z.int().min(0)),
        points: z.array(z.strictObject({ prompt: z.string(), key: shape(1), block: z.int().min(0) })).min(1),
      }),
    ),
    blocks: z.array(z.array(lowRank)),
  }),
])
const header = z.strictObject({
  format: z.literal(FORMAT),
  parts: z.array(part),
  report: z.record(z.string(), z.number()),
  state: z.record(z.string(), z.strictObject({ shape: sizes.max(MAX_DIMENSIONS) })).optional(),
})

/** Writes a patch as bytes. @throws E_PATCH where a number of it is not finite. */
export function encodePatch(patch: Patch): Uint8Array {
  const tensors: Tensor[] = []
  const keep = (value: Tensor): Shaped => {
    requireFinite(value.data)
    tensors.push(value)
    return { shape: value.shape }
  }
  const parts = patch.parts.map((part) => mapTensors(part, keep))
  for (const [name, value] of Object.entries(patch.report)) {
    if (!Number.isFinite(value)) throw damaged(`a finite number for ${name} in the report`, String(value))
  }
  const state = mapState(patch.state, keep)
  const json = Buffer.from(JSON.stringify({ format: FORMAT, parts, report: patch.report, ...state }))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeBigUInt64LE(BigInt(json.length))
  const numbers = tensors.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return Buffer.concat([length, json, ...numbers])
}

/** Reads what {@link encodePatch} wrote. @throws E_PATCH, with what was expected and found, for anything else. */
export function decodePatch(bytes: Uint8Array): Patch {
  const found = readHeader(bytes)
  let at = found.end
  const take = ({ shape }: Shaped): Tensor => {
    const size = sizeOf(shape) * Float32Array.BYTES_PER_ELEMENT
    if (size > bytes.length - at) {
      throw damaged(`${size} bytes for the numbers of [${shape.join(', ')}]`, `${bytes.length - at}`)
    }
    const data = new Float32Array(sizeOf(shape))
    new Uint8Array(data.buffer).set(bytes.subarray(at, at + size))
    requireFinite(data)
    at += size
    return tensor(data, shape)
  }
  const parts = found.parts.map((part) => mapTensors(part, take))
  const state = mapState(found.state, take)
  if (at !== bytes.length) throw damaged('the end of the file', `${bytes.length - at} bytes more`)
  parts.forEach(checkShapes)
  return { parts, report: found.report, ...state }
}

function readHeader(bytes: Uint8Array): z.infer<typeof header> & { end: number } {
  if (bytes.length < LENGTH_BYTES) throw damaged('a header', `${bytes.length} bytes`)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
  const room = Math.min(MAX_HEADER_BYTES, bytes.length - LENGTH_BYTES)
  if (length > room) throw damaged(`a header of at most ${room} bytes`, `${length}`)
  const end = LENGTH_BYTES + Number(length)
  const parsed = header.safeParse(parseJsonObject(bytes.subarray(LENGTH_BYTES, end), 'the header of a patch'))
  if (parsed.success) return { ...parsed.data, end }
  const [issue] = parsed.error.issues
  throw damaged('a header of this format', `${issue?.path.join('.')}: ${issue?.message}`)
}

/** The same part with other tensors, visited in the order in which they stand in a file. */
function mapTensors<A, B>(part: PartOf<A>, map: (value: A) => B): PartOf<B> {
  switch (part.kind) {
    case 'low-rank':
      return mapFactors(part, map)
    case 'dense':
      return { ...part, delta: map(part.delta) }
    case 'codebook':
      return { ...part, keys: map(part.keys), values: map(part.values), radii: map(part.radii) }
    case 'neurons':
      return { ...part, input: map(part.input), biases: map(part.biases), output: map(part.output) }
    case 'side-memories':
      return { ...part, deltas: map(part.deltas), thresholds: map(part.thresholds) }
    case 'context': {
      const { retrieval, adapters, entries, ...rest } = part
      return {
        ...rest,
        retrieval: retrieval.by === 'scope' ? { ...retrieval, map: map(retrieval.map) } : retrieval,
        ...(adapters === undefined ? {} : { adapters: adapters.map((adapter) => mapFactors(adapter, map)) }),
        entries: entries.map((entry) => ({ ...entry, vector: map(entry.vector) })),
      }
    }
    case 'adapter-clusters':
      return {
        ...part,
        clusters: part.clusters.map((cluster) => ({
          ...cluster,
          centre: map(cluster.centre),
          points: cluster.points.map((point) => ({ ...point, key: map(point.key) })),
        })),
        blocks: part.blocks.map((block) => block.map((adapter) => mapFactors(adapter, map))),
      }
  }
}

function mapFactors<A, B>(part: LowRankOf<A>, map: (value: A) => B): LowRankOf<B> {
  return { ...part, left: map(part.left), right: map(part.right) }
}

/** The same state, if there is one, with other tensors. */
function mapState<A, B>(
  state: Readonly<Record<string, A>> | undefined,
  map: (value: A) => B,
): { state?: Record<string, B> } {
  if (state === undefined) return {}
  return { state: Object.fromEntries(Object.entries(state).map(([name, value]) => [name, map(value)])) }
}

/** That the tensors of a part fit each other; whether they fit a model is the model's to say. */
function checkShapes(part: PartOf<Tensor>): void {
  if (part.kind === 'low-rank') checkFactors(part)
  if (part.kind === 'codebook') {
    const counts = [part.keys.shape[0], part.values.shape[0], part.radii.shape[0], part.labels.length]
    if (new Set(counts).size > 1) throw damaged('as many keys as values, radii and labels', counts.join(', '))
    if (part.radii.data.some((radius) => radius < 0)) throw damaged('radii of at least 0', 'a negative one')
  }
  if (part.kind === 'neurons') {
    const counts = [part.biases.shape[0], part.input.shape[1], part.output.shape[0]]
    if (new Set(counts).size > 1)
      throw damaged('as many biases as columns of the input and rows of the output', counts.join(', '))
    const widths = [part.input.shape[0], part.output.shape[1]]
    if (new Set(widths).size > 1) throw damaged('an input and an output of one width', widths.join(', '))
  }
  if (part.kind === 'side-memories' && part.deltas.shape[0] !== part.thresholds.shape[0]) {
    throw damaged(`${part.deltas.shape[0]} thresholds, one a memory`, `${part.thresholds.shape[0]}`)
  }
  if (part.kind === 'context') {
    part.adapters?.forEach(checkFactors)
    const lengths = part.entries.map(({ vector }) => vector.shape[0])
    if (part.retrieval.by === 'scope') lengths.push(part.retrieval.map.shape[1])
    if (new Set(lengths).size > 1) throw damaged('vectors of one length', 'several lengths')
  }
  if (part.kind === 'adapter-clusters') {
    part.blocks.flat().forEach(checkFactors)
    const keys = part.clusters.flatMap(({ centre, points }) => [centre, ...points.map(({ key }) => key)])
    if (new Set(keys.map((key) => key.shape[0])).size > 1) throw damaged('keys of one length', 'several lengths')
    const last = Math.max(...part.clusters.flatMap(({ points }) => points.map(({ block }) => block)))
    if (last >= part.blocks.length) throw damaged(`points of ${part.blocks.length} blocks`, `block ${last}`)
  }
}

function checkFactors({ weight, left, right }: LowRankOf<Tensor>): void {
  if (left.shape[1] === right.shape[0]) return
  throw damaged(`a right factor of ${left.shape[1]} rows for ${weight}`, `${right.shape[0]}`)
}

function requireFinite(data: Float32Array): void {
  const wrong = data.find((value) => !Number.isFinite(value))
  if (wrong !== undefined) throw damaged('finite numbers', String(wrong))
}

function damaged(expected: string, found: string): WhicheditError {
  return new WhicheditError('E_PATCH', { expected, found: printable(found) })
}
