/** The language model that editors and probes see: thin forms over `run` and generation, with patches applied. */
import { createHash } from 'node:crypto'
import { WhicheditError } from '../errors.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { chooseBlocks } from './adapter-clusters.ts'
import { chunksByLength } from './chunks.ts'
import { addProduct, applyDense, type Edits, readWeight } from './edits.ts'
import { embedTokens } from './embed-tokens.ts'
import { cacheBytes, MOST_CACHE_BYTES } from './footprint.ts'
import { generateIds } from './generate.ts'
import { mergePatches } from './merged-patch.ts'
import type {
  GenerateOptions,
  Generation,
  LanguageModel,
  RunRequest,
  RunResult,
  ScoreQuery,
  SentenceEncoder,
  TargetScore,
  WeightRole,
} from './model.ts'
import type { Patch } from './patch.ts'
import { type ComputePrefix, freshPrefix, groupByStart, keepPrefix } from './prefix.ts'
import { type Asked, putIntoContext } from './retrieval.ts'
import { type Engine, runRequest } from './run.ts'
import { type ScoreRow, scoreRows } from './score.ts'
import { noticeOf } from './shipped.ts'
import type { Tokenizer } from './tokenizer.ts'
import type { ModelFiles } from './weights.ts'
import type { Prefix } from './window.ts'

/** Tokens of one run of `score` and rows of one run of `generate`: enough to fill the products, little enough memory. */
const SCORE_TOKENS = 1024
const GENERATE_ROWS = 16

/** What every edited form of a model shares. */
interface Core {
  readonly files: ModelFiles
  readonly engine: Engine
  readonly encoder: SentenceEncoder | null
}

/** Which adapters a prompt is asked with. */
interface Route {
  /** Those of the memory. */
  readonly adapted: boolean
  /** A block of those of clusters. */
  readonly block: number | null
}

/** None. */
const PLAIN: Route = { adapted: false, block: null }

/** A prompt as it is asked. */
interface EncodedPrompt {
  readonly ids: Int32Array
  readonly route: Route
  readonly loopFailed: boolean
}

/** Prompts that are asked together, by their indices: of the same weights, and after the same beginning where they have one. */
interface AskedGroup {
  readonly indices: readonly number[]
  readonly edits: Edits
  readonly prefix: Prefix | null
}

/** Opens the unedited model over its engine, with an encoder of sentences where there is one. */
export function openLanguageModel(
  files: ModelFiles,
  engine: Engine,
  encoder: SentenceEncoder | null = null,
): LanguageModel {
  return makeModel({ files, engine, encoder }, [])
}

function makeModel(
  core: Core,
  patches: readonly Patch[],
  computePrefix: ComputePrefix = freshPrefix(core.engine),
): LanguageModel {
  const { files, engine } = core
  const { tokenizer } = files
  const { config } = engine.network
  const patch = mergePatches(patches)
  const adapters = patch.context?.adapters ?? []
  const applied = new Map<string, Promise<Edits>>()

  const editsFor = (route: Route): Promise<Edits> => {
    const name = JSON.stringify(route)
    const known = applied.get(name)
    if (known !== undefined) return known
    const { adapted, block } = route
    const added = [...(adapted ? adapters : []), ...(block === null ? [] : (patch.clusters?.blocks[block] ?? []))]
    const all = added.length === 0 ? patch : mergePatches([...patches, { parts: added, report: {} }])
    const made = applyDense(files, engine.network, all)
    applied.set(name, made)
    return made
  }
  const edits = () => editsFor(PLAIN)

  const encodePrompts = async (prompts: readonly string[]): Promise<EncodedPrompt[]> => {
    const asked: readonly Asked[] =
      patch.context === null
        ? prompts.map((text) => ({ text, found: false, loopFailed: false }))
        : await putIntoContext(makeModel(core, [], patch.context.loop && keepPrefix(engine)), patch.context, prompts)
    const encoded = await Promise.all(
      asked.map(async ({ text }) => {
        const { ids } = await tokenizer.encode(text)
        return ids.length > 0 ? ids : Int32Array.of(tokenizer.endsOfText[0])
      }),
    )
    const blocks = patch.clusters === null ? [] : await chooseBlocks(engine, await edits(), patch.clusters, encoded)
    return encoded.map((ids, i) => ({
      ids,
      route: { adapted: (asked[i]?.found ?? false) && adapters.length > 0, block: blocks[i] ?? null },
      loopFailed: asked[i]?.loopFailed ?? false,
    }))
  }

  /** All prompts in groups, with what they begin with computed once. */
  async function* groupPrompts(prompts: readonly EncodedPrompt[]): AsyncGenerator<AskedGroup> {
    const byRoute = new Map<string, { readonly route: Route; readonly among: { index: number; ids: Int32Array }[] }>()
    for (const [index, { ids, route }] of prompts.entries()) {
      const name = JSON.stringify(route)
      const alike = byRoute.get(name) ?? { route, among: [] }
      alike.among.push({ index, ids })
      byRoute.set(name, alike)
    }
    for (const { route, among } of byRoute.values()) {
      const given = await editsFor(route)
      for (const group of groupByStart(among.map(({ ids }) => ids))) {
        const own = group.flatMap((place) => among[place] ?? [])
        const rows = own.map(({ ids }) => ids)
        yield { indices: own.map(({ index }) => index), edits: given, prefix: await computePrefix(given, rows) }
      }
    }
  }

  const findModule = (role: WeightRole, layer: number): string | undefined => {
    const inRange = Number.isInteger(layer) && layer >= 0 && layer < config.layers
    return inRange ? engine.network.moduleName(role, layer) : undefined
  }

  const model: LanguageModel = {
    id: patches.length === 0 ? files.fingerprint : hashPatches(files.fingerprint, patches),
    name: files.name,
    notice: noticeOf(files.config),
    config,
    tokenizer,
    encoder: core.encoder,
    patches,

    run: async (request: RunRequest): Promise<RunResult> => runRequest(engine, await edits(), request),

    async score(queries: readonly ScoreQuery[]): Promise<TargetScore[]> {
      const prompts = await encodePrompts(queries.map(({ prompt }) => prompt))
      const targets = await Promise.all(queries.map(({ target }) => tokenizer.encodeContinuation(spaced(target))))
      const rows = prompts.map(({ ids }, i) => ({ prompt: ids, target: targets[i] ?? new Int32Array(0) }))
      const scores: TargetScore[] = []
      for await (const { indices, edits, prefix } of groupPrompts(prompts)) {
        const own = indices.flatMap((index) => rows[index] ?? [])
        const lengthOf = ({ prompt, target }: ScoreRow) => prompt.length + target.length - (prefix?.length ?? 0)
        for (const chunk of chunksByLength(own, lengthOf, SCORE_TOKENS)) {
          const asked = chunk.map(({ item }) => item)
          const found = await scoreRows(engine, edits, asked, prefix)
          for (const [i, { index }] of chunk.entries()) {
            const [place, score] = [indices[index], found[i]]
            if (place !== undefined && score !== undefined) scores[place] = score
          }
        }
      }
      return scores
    },

    async generate(prompts: readonly string[], options: GenerateOptions): Promise<Generation[]> {
      const encoded = await encodePrompts(prompts)
      const rows = encoded.map(({ ids }) => ids)
      const written: Generation[] = []
      const isEnd = (_: number, ids: readonly number[]) => endsText(tokenizer, ids, options.stop ?? [])
      for await (const { indices, edits, prefix } of groupPrompts(encoded)) {
        const own = indices.flatMap((index) => rows[index] ?? [])
        // What rows share is kept once.
        const lengthOf = (row: Int32Array) => row.length - (prefix?.length ?? 0)
        const longest = Math.max(...own.map(lengthOf))
        const limit = Math.min(GENERATE_ROWS * longest, MOST_CACHE_BYTES / cacheBytes(config, 1, config.layers))
        for (const chunk of chunksByLength(own, lengthOf, limit)) {
          const job = { ...options, prompts: chunk.map(({ item }) => item), prefix, isEnd }
          const found = await generateIds(engine, edits, job)
          for (const [i, { index }] of chunk.entries()) {
            const all = found[i] ?? []
            const ids = tokenizer.endsOfText.includes(all.at(-1) ?? -1) ? all.slice(0, -1) : all
            const place = indices[index]
            if (place === undefined) continue
            const text = await tokenizer.decodeContinuation(ids)
            written[place] = { ids, text, ...(encoded[place]?.loopFailed ? { loopFailed: true } : {}) }
          }
        }
      }
      return written
    },

    tokenVectors: (ids: readonly number[]): Promise<Tensor> => embedTokens(engine, ids),

    async weight(name: string): Promise<Tensor> {
      const { patch: rest, dense } = await edits()
      return addProduct(dense[name] ?? (await readWeight(files, engine.network, name)), rest.lowRank.get(name))
    },

    weightShape(name: string): readonly [number, number] {
      const [rows = 0, columns = 0] = files.weights.get(name)?.shape ?? []
      if (rows === 0) throw new WhicheditError('E_WEIGHT', { name })
      return engine.network.stored === 'in-out' ? [rows, columns] : [columns, rows]
    },

    weightName(role: WeightRole, layer: number): string {
      const module = findModule(role, layer)
      if (module === undefined) {
        throw new WhicheditError('E_SITE', { site: `${role}.${layer}`, first: 0, last: config.layers - 1 })
      }
      return `${module}.weight`
    },

    hasWeight: (role: WeightRole, layer: number): boolean => findModule(role, layer) !== undefined,

    withPatch: (added: Patch): LanguageModel => makeModel(core, [...patches, added]),
  }
  return model
}

async function endsText(tokenizer: Tokenizer, ids: readonly number[], stop: readonly string[]): Promise<boolean> {
  const last = ids.at(-1)
  if (last === undefined || tokenizer.endsOfText.includes(last)) return true
  if (stop.length === 0) return false
  // A token is at least a byte: a mark that the last one completes lies within so many.
  const text = await tokenizer.decode(ids.slice(-Math.max(...stop.map((mark) => Buffer.byteLength(mark)))))
  return stop.some((mark) => text.includes(mark))
}

function spaced(target: string): string {
  return /^\s/.test(target) ? target : ` ${target}`
}

/** The order in which a part's fields were written is none of its content. */
function hashPatches(fingerprint: string, patches: readonly Patch[]): string {
  const hash = createHash('sha256').update(fingerprint)
  for (const { parts } of patches) {
    for (const part of parts) {
      for (const [name, value] of inOrder(part)) hash.update(name).update(hashable(value))
    }
  }
  return hash.digest('hex')
}

function hashable(value: unknown): string | Uint8Array {
  const data = typeof value === 'object' && value !== null && 'data' in value ? value.data : null
  if (data instanceof Float32Array) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return JSON.stringify(value, (_, inner: unknown) => {
    // As text, the numbers of adapters would take longer than asking the model.
    if (inner instanceof Float32Array) return createHash('sha256').update(inner).digest('hex')
    const isObject = typeof inner === 'object' && inner !== null && !Array.isArray(inner)
    return isObject ? Object.fromEntries(inOrder(inner)) : inner
  })
}

function inOrder(fields: object): [string, unknown][] {
  return Object.entries(fields).sort(([one], [other]) => (one < other ? -1 : 1))
}
