/** The language model that editors and probes see: thin forms over `run` and generation, with patches applied. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { WhicheditError } from '../errors.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Configuration } from './architecture.ts'
import { generateIds } from './generate.ts'
import { type MergedPatch, mergePatches } from './merged-patch.ts'
import type {
  GenerateOptions,
  Generation,
  LanguageModel,
  RunRequest,
  RunResult,
  ScoreQuery,
  TargetScore,
  WeightRole,
} from './model.ts'
import type { ContextPart, Patch } from './patch.ts'
import { computePrefix } from './prefix.ts'
import { type Edits, type Engine, runRequest } from './run.ts'
import type { Tokenizer } from './tokenizer.ts'
import type { ModelFiles, StoredWeight } from './weights.ts'

/** Tokens of one run of `score` and rows of one run of `generate`: enough to fill the products, little enough memory. */
const SCORE_TOKENS = 1024
const GENERATE_ROWS = 16
/** What the keys and values of one run of `generate` may take; its outputs take as much again. */
const CACHE_BYTES = 256 * 2 ** 20

/** What every edited form of a model shares. */
interface Core {
  readonly files: ModelFiles
  readonly engine: Engine
}

/** Opens the unedited model over its engine. */
export function openLanguageModel(files: ModelFiles, engine: Engine): LanguageModel {
  return makeModel({ files, engine }, [])
}

function makeModel(core: Core, patches: readonly Patch[]): LanguageModel {
  const { files, engine } = core
  const { tokenizer } = files
  const patch = mergePatches(patches)
  let applied: Promise<Edits> | null = null

  const edits = (): Promise<Edits> => {
    applied ??= applyDense(files, patch)
    return applied
  }

  const encodePrompt = async (prompt: string): Promise<Int32Array> => {
    const before = patch.context === null ? '' : await contextFor(core, patch.context, prompt)
    const { ids } = await tokenizer.encode(before + prompt)
    return ids.length > 0 ? ids : Int32Array.of(tokenizer.endOfText)
  }

  const model: LanguageModel = {
    id: patches.length === 0 ? files.fingerprint : hashPatches(files.fingerprint, patches),
    name: files.name,
    config: engine.network.config,
    tokenizer,
    patches,

    run: async (request: RunRequest): Promise<RunResult> => runRequest(engine, await edits(), request),

    async score(queries: readonly ScoreQuery[]): Promise<TargetScore[]> {
      const rows = await Promise.all(
        queries.map(async ({ prompt, target }) => {
          const ids = await encodePrompt(prompt)
          return { prompt: ids, target: await tokenizer.encodeContinuation(spaced(target)) }
        }),
      )
      const prefix = await computePrefix(
        engine,
        await edits(),
        rows.map(({ prompt }) => prompt),
      )
      const lengthOf = (row: ScoreRow) => row.prompt.length + row.target.length - (prefix?.length ?? 0)
      const scores: TargetScore[] = []
      for (const chunk of chunksByLength(rows, lengthOf, SCORE_TOKENS)) {
        const { request, collect } = scoreRequest(chunk.map(({ item }) => item))
        const found = collect(await runRequest(engine, await edits(), request, prefix))
        chunk.forEach(({ index }, i) => {
          const score = found[i]
          if (score !== undefined) scores[index] = score
        })
      }
      return scores
    },

    async generate(prompts: readonly string[], options: GenerateOptions): Promise<Generation[]> {
      const rows = await Promise.all(prompts.map(encodePrompt))
      const prefix = await computePrefix(engine, await edits(), rows)
      const written: Generation[] = []
      const longest = Math.max(0, ...rows.map((row) => row.length))
      const limit = Math.min(GENERATE_ROWS * longest, CACHE_BYTES / cacheBytes(engine.network.config))
      for (const chunk of chunksByLength(rows, (row) => row.length, limit)) {
        const isEnd = (_: number, ids: readonly number[]) => endsText(tokenizer, ids, options.stop ?? [])
        const job = { ...options, prompts: chunk.map(({ item }) => item), prefix, isEnd }
        const found = await generateIds(engine, await edits(), job)
        for (const [i, { index }] of chunk.entries()) {
          const all = found[i] ?? []
          const ids = all.at(-1) === tokenizer.endOfText ? all.slice(0, -1) : all
          written[index] = { ids, text: await tokenizer.decode(ids) }
        }
      }
      return written
    },

    async weight(name: string): Promise<Tensor> {
      const { patch: rest, dense } = await edits()
      return addProduct(dense[name] ?? (await readWeight(files, name)), rest.lowRank.get(name))
    },

    weightName(role: WeightRole, layer: number): string {
      if (!Number.isInteger(layer) || layer < 0 || layer >= engine.network.config.layers) {
        throw new WhicheditError('E_SITE', {
          site: `${role}.${layer}`,
          first: 0,
          last: engine.network.config.layers - 1,
        })
      }
      return engine.network.weightName(role, layer)
    },

    withPatch: (added: Patch): LanguageModel => makeModel(core, [...patches, added]),
  }
  return model
}

/** The text that a context puts before a prompt; of several entries, that of the nearest sentence vector. */
async function contextFor(core: Core, context: ContextPart, prompt: string): Promise<string> {
  const [first] = context.entries
  if (first === undefined) return ''
  if (context.entries.length === 1) return first.before
  const query = await sentenceVector(makeModel(core, []), context.layer, prompt)
  const similarity = context.entries.map(({ vector }) => cosine(vector.data, query.data))
  return context.entries[similarity.indexOf(Math.max(...similarity))]?.before ?? ''
}

/** The mean of a text's hidden states at `block-output.<layer>` [D]. */
export async function sentenceVector(model: LanguageModel, layer: number, text: string): Promise<Tensor> {
  const { ids } = await model.tokenizer.encode(text)
  const rows = [ids.length > 0 ? ids : Int32Array.of(model.tokenizer.endOfText)]
  const { reads } = await model.run({ tokens: { rows }, read: [{ site: `block-output.${layer}`, at: 'all' }] })
  const states = reads[0] ?? tensor(new Float32Array(0), [0, 0])
  const [count = 0, width = 0] = states.shape
  const mean = new Float32Array(width)
  for (let i = 0; i < states.data.length; i++) mean[i % width] = (mean[i % width] ?? 0) + (states.data[i] ?? 0) / count
  return tensor(mean, [width])
}

function cosine(a: Float32Array, b: Float32Array): number {
  let product = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0
    const y = b[i] ?? 0
    product += x * y
    aa += x * x
    bb += y * y
  }
  return product / Math.sqrt(aa * bb || 1)
}

interface ScoreRow {
  readonly prompt: Int32Array
  readonly target: Int32Array
}

/** One run that scores rows, and what its answer says of each. */
function scoreRequest(rows: readonly ScoreRow[]): {
  readonly request: RunRequest
  collect(result: RunResult): TargetScore[]
} {
  const at = rows.flatMap(({ prompt, target }, row) =>
    Array.from(target, (_, j) => ({ row, token: prompt.length - 1 + j })),
  )
  const targets = rows.flatMap(({ target }) => [...target])
  const request: RunRequest = {
    tokens: {
      rows: rows.map(({ prompt, target }) => Int32Array.from([...prompt, ...target])),
      promptLengths: rows.map(({ prompt }) => prompt.length),
    },
    read: [
      { site: 'logits', at, as: 'log-probs', targets },
      { site: 'logits', at, as: 'argmax' },
    ],
  }
  const collect = ({ reads: [logProbs, argmax] }: RunResult): TargetScore[] => {
    let next = 0
    return rows.map(({ target }) => {
      const from = next
      next += target.length
      return {
        ids: [...target],
        logProbs: [...(logProbs?.data.subarray(from, next) ?? [])],
        argmax: [...(argmax?.data.subarray(from, next) ?? [])],
      }
    })
  }
  return { request, collect }
}

/** Bytes of the keys and values of one position. */
function cacheBytes({ layers, kvHeads, headWidth }: Configuration): number {
  return layers * 2 * kvHeads * headWidth * Float32Array.BYTES_PER_ELEMENT
}

/** Groups items of similar length so that a group, padded to its longest, stays within a number of tokens. */
function chunksByLength<T>(
  items: readonly T[],
  lengthOf: (item: T) => number,
  limit: number,
): { readonly item: T; readonly index: number }[][] {
  const sorted = items.map((item, index) => ({ item, index })).sort((a, b) => lengthOf(a.item) - lengthOf(b.item))
  const chunks: { item: T; index: number }[][] = []
  for (const entry of sorted) {
    const open = chunks.at(-1)
    if (open !== undefined && lengthOf(entry.item) * (open.length + 1) <= limit) open.push(entry)
    else chunks.push([entry])
  }
  return chunks
}

async function endsText(tokenizer: Tokenizer, ids: readonly number[], stop: readonly string[]): Promise<boolean> {
  const last = ids.at(-1)
  if (last === undefined || last === tokenizer.endOfText) return true
  if (stop.length === 0) return false
  const text = await tokenizer.decode([last])
  return stop.some((mark) => text.includes(mark))
}

function spaced(target: string): string {
  return /^\s/.test(target) ? target : ` ${target}`
}

/** Makes the weights that have a dense delta, their low-rank deltas included; the other deltas stay what they are. */
async function applyDense(files: ModelFiles, patch: MergedPatch): Promise<Edits> {
  const dense: Record<string, Tensor> = {}
  for (const [name, delta] of patch.dense) {
    const base = await readWeight(files, name)
    if (base.shape.join() !== delta.shape.join()) {
      const what = `expected a delta [${base.shape.join(', ')}], found [${delta.shape.join(', ')}]`
      throw new WhicheditError('E_SHAPE', { where: name, what })
    }
    const sum = tensor(
      base.data.map((value, i) => value + (delta.data[i] ?? 0)),
      base.shape,
    )
    dense[name] = addProduct(sum, patch.lowRank.get(name))
  }
  const lowRank = new Map([...patch.lowRank].filter(([name]) => !patch.dense.has(name)))
  return { patch: { ...patch, lowRank }, dense }
}

function addProduct(base: Tensor, factors: { readonly left: Tensor; readonly right: Tensor } | undefined): Tensor {
  if (factors === undefined) return base
  const { left, right } = factors
  const [rows = 0, columns = 0] = base.shape
  const rank = left.shape[1] ?? 0
  const data = base.data.slice() // [in, out]
  for (let i = 0; i < rows; i++) {
    for (let r = 0; r < rank; r++) {
      const factor = left.data[i * rank + r] ?? 0
      for (let j = 0; j < columns; j++) {
        data[i * columns + j] = (data[i * columns + j] ?? 0) + factor * (right.data[r * columns + j] ?? 0)
      }
    }
  }
  return tensor(data, base.shape)
}

/** Reads a linear layer's weight and turns it from [out, in] as stored to [in, out]. */
async function readWeight(files: ModelFiles, name: string): Promise<Tensor> {
  const stored = files.weights.get(name)
  if (stored === undefined) throw new WhicheditError('E_WEIGHT', { name })
  const flat = await readStored(stored)
  const [out = 0, into = 0] = stored.shape
  const data = new Float32Array(flat.length)
  for (let o = 0; o < out; o++) for (let i = 0; i < into; i++) data[i * out + o] = flat[o * into + i] ?? 0
  return tensor(data, [into, out])
}

async function readStored(stored: StoredWeight): Promise<Float32Array> {
  const bytes = new Uint8Array(stored.bytes)
  let handle: FileHandle | null = null
  try {
    handle = await open(stored.file)
    await handle.read(bytes, 0, stored.bytes, stored.offset)
  } finally {
    await handle?.close()
  }
  return new Float32Array(bytes.buffer)
}

function hashPatches(fingerprint: string, patches: readonly Patch[]): string {
  const hash = createHash('sha256').update(fingerprint)
  for (const { parts } of patches) {
    for (const part of parts) {
      for (const [name, value] of Object.entries(part)) hash.update(name).update(hashable(value))
    }
  }
  return hash.digest('hex')
}

function hashable(value: unknown): string | Uint8Array {
  const data = typeof value === 'object' && value !== null && 'data' in value ? value.data : null
  if (data instanceof Float32Array) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return JSON.stringify(value, (_, inner: unknown) => (inner instanceof Float32Array ? [...inner] : inner))
}
