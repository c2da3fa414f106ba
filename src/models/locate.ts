/**
 * Finds a model by path, in the Hugging Face cache or by a known name, and makes it ready for a session: weights in
 * safetensors files, as float32 or where memory asks for it in the 16 bits that they came in, a config with Hugging Face's keys, a tokenizer, and a fingerprint of all three.
 */
import { readdir, realpath, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'
import { sizeOf } from '../tensor/tensor.ts'
import { CHAT_FILES, ggufTemplate, parseTemplate, readFolderTemplate } from './chat-template.ts'
import { contentHash, hashOf } from './content-hash.ts'
import { type Conversion, convertOnce } from './convert.ts'
import { NUMBER_FORMATS } from './dequantize.ts'
import type { WeightSize } from './footprint.ts'
import { readGguf } from './gguf.ts'
import { checkpointOf } from './gguf-checkpoint.ts'
import { tokenizerJsonOf } from './gguf-tokenizer.ts'
import { isRepository, type ModelPlaces, revisionOf, snapshotFolder } from './hub-cache.ts'
import { unknownModel } from './inventory.ts'
import { type JsonObject, readJsonObject } from './json.ts'
import { findInHub, KNOWN_MODELS } from './known.ts'
import { readSafetensorsFolder, type SafetensorsEntry, type SafetensorsTable } from './safetensors.ts'
import { SHIPPED_MODELS } from './shipped.ts'
import { requireAgreement } from './terms.ts'
import { textConfigOf } from './text-config.ts'
import { type EndsOfText, openTokenizer } from './tokenizer.ts'
import { readTokenizer, TOKENIZER_CHOICE, TOKENIZER_FILES } from './tokenizer-files.ts'
import { chooseWeightUse, type FormatCount, mainFormat, toWeightFormat, type WeightUse } from './weight-use.ts'
import type { ChatTemplate, ModelFiles, StoredWeight } from './weights.ts'

export type { ModelPlaces } from './known.ts'

/** Raised when a conversion would come out otherwise than before: old ones are then made anew. */
const CONVERSION_VERSION = 2

/** The files of a checkpoint folder, beside its weights, that decide what the model says. */
const TEXT_FILES: readonly string[] = [
  'config.json',
  'generation_config.json',
  ...new Set<string>([...CHAT_FILES, ...TOKENIZER_FILES]),
]

/** A model that was found: a folder in Hugging Face layout or a GGUF file. */
interface Source {
  readonly name: string
  readonly kind: 'folder' | 'gguf'
  readonly path: string
}

/** A model whose files were found and read as far as their headers: nothing is loaded or converted yet. */
export interface FoundModel extends Pick<ModelFiles, 'name' | 'fingerprint' | 'config' | 'storedAs'> {
  /** As they will be used, by the names of Hugging Face's checkpoints. */
  readonly weights: ReadonlyMap<string, WeightSize>
  readonly use: WeightUse
  /** Makes it ready. The first time it may be converted to 32 bits, which takes seconds to minutes; later calls take milliseconds. */
  open(): Promise<ModelFiles>
}

/** How a model is to be used. */
export interface FindOptions {
  /** What it may take of the memory: decides whether 16-bit weights stay as they are. Default: anything. */
  readonly memoryBytes?: number
}

/**
 * Finds a model and makes it ready; a conversion is kept in `ctx.cacheDir`.
 * @throws what {@link describeModel} throws; E_SAFETENSORS, E_DISK_FULL, E_NOT_WRITABLE where it must be converted.
 */
export async function findModel(
  reference: string,
  ctx: Context,
  places: ModelPlaces,
  options: FindOptions = {},
): Promise<ModelFiles> {
  return (await describeModel(reference, ctx, places, options)).open()
}

/**
 * Finds a model and says what it is, from headers and hashes.
 * @param reference a folder, a `.gguf` file, a name of {@link SHIPPED_MODELS} or {@link KNOWN_MODELS}, or `<owner>/<name>` in the Hugging Face cache.
 * @throws E_MODEL_UNKNOWN, E_MODEL_INCOMPLETE, E_TERMS, E_SAFETENSORS, E_GGUF, E_JSON, E_TOKENIZER, E_NUMBER_FORMAT.
 */
export async function describeModel(
  reference: string,
  ctx: Context,
  places: ModelPlaces,
  { memoryBytes = Number.POSITIVE_INFINITY }: FindOptions = {},
): Promise<FoundModel> {
  return describeSource(await locate(reference, places), ctx, memoryBytes)
}

/**
 * The same for a name, whatever folder of that name there is where the program was called; undefined where it is not in the cache.
 * @throws E_MODEL_INCOMPLETE, E_TERMS and what reading its files raises
 */
export async function describeInHub(name: string, ctx: Context, places: ModelPlaces): Promise<FoundModel | undefined> {
  const source = await sourceInHub(name, places)
  return source === undefined ? undefined : describeSource(source, ctx, Number.POSITIVE_INFINITY)
}

function describeSource(source: Source, ctx: Context, memoryBytes: number): Promise<FoundModel> {
  return source.kind === 'gguf' ? describeGguf(source, ctx) : describeFolder(source, ctx, memoryBytes)
}

async function locate(reference: string, places: ModelPlaces): Promise<Source> {
  // By its bare name a model that ships is always meant: a folder of the same name is `./atlas`.
  const shipped = SHIPPED_MODELS.find(({ name }) => name === reference)
  if (shipped !== undefined) return { name: shipped.name, kind: 'folder', path: shipped.path }
  const source = (await sourceAt(reference)) ?? (await sourceInHub(reference, places))
  if (source === undefined) throw await unknownModel(reference, places)
  return source
}

async function sourceAt(path: string): Promise<Source | undefined> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) return sourceInFolder(path, basename(await realpath(path)))
  if (found?.isFile() && path.endsWith('.gguf')) return { name: basename(path, '.gguf'), kind: 'gguf', path }
  return undefined
}

/** A folder holds a checkpoint, or just one GGUF file. */
async function sourceInFolder(path: string, name: string): Promise<Source> {
  const files = await readdir(path)
  if (files.includes('config.json')) return { name, kind: 'folder', path }
  const [gguf, ...more] = files.filter((file) => file.endsWith('.gguf'))
  if (gguf !== undefined && more.length === 0) return { name, kind: 'gguf', path: join(path, gguf) }
  const expected = more.length > 0 ? 'the path of one of its GGUF files' : 'config.json'
  throw incomplete(path, expected, files)
}

async function sourceInHub(reference: string, places: ModelPlaces): Promise<Source | undefined> {
  const known = KNOWN_MODELS.find(({ name, repository }) => [name, repository].includes(reference))
  const path = known?.name === reference ? await findInHub(known, places) : await mainSnapshot(reference, places)
  if (path === undefined) return undefined
  if (known !== undefined) await requireAgreement(known, places)
  const name = known?.name ?? basename(reference)
  return path.endsWith('.gguf') ? { name, kind: 'gguf', path } : sourceInFolder(path, name)
}

/** The folder of a repository's main commit in the cache. */
async function mainSnapshot(repository: string, { hubCache }: ModelPlaces): Promise<string | undefined> {
  if (!isRepository(repository)) return undefined
  const revision = await revisionOf(repository, hubCache)
  if (revision === undefined) return undefined
  const folder = snapshotFolder({ repository, revision }, hubCache)
  return (await stat(folder).catch(() => undefined))?.isDirectory() ? folder : undefined
}

async function describeGguf({ name, path }: Source, ctx: Context): Promise<FoundModel> {
  const contents = await contentHash(path, ctx)
  const fingerprint = hashOf([contents, `conversion ${CONVERSION_VERSION}`])
  const use: WeightUse = { isAsStored: false, usedAs: 'F32', because: null }
  const kept = await openKept(keptFolder(fingerprint, ctx), fingerprint, name)
  if (kept !== undefined) return { ...kept, use, open: async () => kept }
  const gguf = await readGguf(path)
  const { config, tensors: planned } = await checkpointOf(gguf)
  const tensors = planned.map(({ source, ...place }) => ({ ...source, ...place, file: gguf.file }))
  const [tokenizer, chatTemplate] = [tokenizerJsonOf(gguf), ggufTemplate(gguf)]
  const conversion = { name, storedAs: mainFormat(countNumbers(tensors)), config, tokenizer, chatTemplate, tensors }
  return describeConversion(fingerprint, conversion, use, ctx)
}

async function describeFolder({ name, path }: Source, ctx: Context, memoryBytes: number): Promise<FoundModel> {
  const files = await readdir(path)
  if (!files.includes('config.json')) throw incomplete(path, 'config.json', files)
  if (!files.some((file) => /^model\.safetensors(\.index\.json)?$/.test(file))) {
    throw incomplete(path, 'model.safetensors or model.safetensors.index.json', files)
  }
  const table = withoutBuffers(await readSafetensorsFolder(path, files))
  const config = await readFolderConfig(path, files)
  const tokenizer = await readTokenizer(path, files)
  if (tokenizer === undefined) throw incomplete(path, TOKENIZER_CHOICE, files)
  const chatTemplate = await readFolderTemplate(path, files)
  const contents = await folderHash(path, files, table, ctx)
  checkFormats(table)
  const tensors = [...table].map(([tensor, entry]) => ({ ...entry, name: tensor, format: entry.dtype }))
  const counts = countNumbers(tensors)
  const use = chooseWeightUse(counts, memoryBytes)
  const storedAs = mainFormat(counts)
  const isConvertible = counts.some(({ format }) => format !== 'F32')
  // The same whether weights are converted or not: so are the numbers.
  const fingerprint = isConvertible ? hashOf([contents, `conversion ${CONVERSION_VERSION}`]) : contents
  if (use.isAsStored) {
    const found = { name, fingerprint, folder: path, storedAs, config, tokenizer, chatTemplate, table }
    return { name, fingerprint, config, storedAs, weights: table, use, open: async () => ready(found) }
  }
  return describeConversion(fingerprint, { name, storedAs, config, tokenizer, chatTemplate, tensors }, use, ctx)
}

/** What a conversion will make, before it is made. */
function describeConversion(fingerprint: string, conversion: Conversion, use: WeightUse, ctx: Context): FoundModel {
  const { name, config, storedAs, tensors } = conversion
  const weights = new Map(
    tensors.map(({ name: tensor, shape, transposed }) => {
      const bytes = sizeOf(shape) * Float32Array.BYTES_PER_ELEMENT
      return [tensor, { shape: transposed ? shape.toReversed() : shape, bytes }]
    }),
  )
  return { name, fingerprint, config, storedAs, weights, use, open: () => openConverted(fingerprint, conversion, ctx) }
}

function countNumbers(
  tensors: readonly { readonly format: string; readonly shape: readonly number[] }[],
): FormatCount[] {
  return tensors.map(({ format, shape }) => ({ format, count: sizeOf(shape) }))
}

/** `config.json`, with the ends of a text that `generation_config.json` names besides (the end of a turn). */
async function readFolderConfig(path: string, files: readonly string[]): Promise<JsonObject> {
  const config = textConfigOf(await readJsonObject(join(path, 'config.json')))
  if (!files.includes('generation_config.json')) return config
  const { eos_token_id: more } = await readJsonObject(join(path, 'generation_config.json'))
  const ends = [config.eos_token_id ?? [], more ?? []].flat()
  return ends.length === 0 ? config : { ...config, eos_token_id: [...new Set(ends)] }
}

/** Leaves out what is no weight: positions counted out and masks of attention, which older checkpoints hold as whole numbers. */
function withoutBuffers(table: SafetensorsTable): SafetensorsTable {
  const isBuffer = (name: string, dtype: string): boolean =>
    ['BOOL', 'I64'].includes(dtype) || (dtype === 'U8' && /\.bias$/.test(name))
  return new Map([...table].filter(([name, { dtype }]) => !isBuffer(name, dtype)))
}

function checkFormats(table: SafetensorsTable): void {
  for (const [tensor, { dtype, file }] of table) {
    if (NUMBER_FORMATS.includes(dtype)) continue
    const formats = NUMBER_FORMATS.join(', ')
    throw new WhicheditError('E_NUMBER_FORMAT', { file, tensor: JSON.stringify(tensor), formats, found: dtype })
  }
}

/** Opens the conversion kept under `key`, making it where it is missing or was damaged since. */
async function openConverted(key: string, conversion: Conversion, ctx: Context): Promise<ModelFiles> {
  const { name } = conversion
  const kept = keptFolder(key, ctx)
  const opened = await openKept(kept, key, name)
  if (opened !== undefined) return opened
  await rm(kept, { recursive: true, force: true })
  await convertOnce(key, conversion, ctx)
  const made = await openKept(kept, key, name)
  if (made === undefined) throw new WhicheditError('E_INTERNAL', { what: `findModel: ${kept} cannot be read back` })
  return made
}

function keptFolder(key: string, { cacheDir }: Context): string {
  return join(cacheDir, 'models', key)
}

/** A conversion of the cache; undefined where there is none or it cannot be used. */
async function openKept(folder: string, fingerprint: string, name: string): Promise<ModelFiles | undefined> {
  if ((await stat(folder).catch(() => undefined)) === undefined) return undefined
  try {
    const [config, tokenizer, origin, table] = await Promise.all([
      readJsonObject(join(folder, 'config.json')),
      readJsonObject(join(folder, 'tokenizer.json')),
      readJsonObject(join(folder, 'origin.json')),
      readSafetensorsFolder(folder, ['model.safetensors']),
    ])
    const chatTemplate = parseTemplate(origin.chatTemplate)
    if (chatTemplate === undefined) return undefined
    const storedAs = String(origin.storedAs)
    return ready({ name, fingerprint, folder, config, tokenizer, chatTemplate, table, storedAs })
  } catch (error) {
    // Ours, so it can be made again.
    if (error instanceof WhicheditError) return undefined
    throw error
  }
}

interface Found {
  readonly name: string
  readonly fingerprint: string
  readonly folder: string
  readonly config: JsonObject
  readonly tokenizer: JsonObject
  readonly chatTemplate: ChatTemplate | null
  readonly table: SafetensorsTable
  readonly storedAs: string
}

function ready({ folder, tokenizer, table, ...found }: Found): ModelFiles {
  const { config } = found
  const vocabulary = config.vocab_size
  if (typeof vocabulary !== 'number' || !Number.isSafeInteger(vocabulary) || vocabulary < 1) {
    throw new WhicheditError('E_CONFIG', {
      key: 'vocab_size',
      expected: 'a whole, positive number',
      found: String(vocabulary),
    })
  }
  const frame = { file: join(folder, 'tokenizer.json'), endsOfText: endsOfText(config), vocabulary }
  const weights = new Map([...table].map(([tensor, entry]) => [tensor, storedWeight(tensor, entry)]))
  return { ...found, tokenizer: openTokenizer(tokenizer, frame), weights }
}

function storedWeight(tensor: string, { file, dtype, shape, offset, bytes }: SafetensorsEntry): StoredWeight {
  const format = toWeightFormat(dtype)
  if (format === undefined) {
    const found = { file, tensor: JSON.stringify(tensor), formats: 'F32, F16 and BF16', found: dtype }
    throw new WhicheditError('E_NUMBER_FORMAT', found)
  }
  return { file, format, shape, offset, bytes }
}

/** The tokens that end a text; for an encoder, which writes none, the one that fills a text up. */
function endsOfText({ eos_token_id: ends, pad_token_id: filler }: JsonObject): EndsOfText {
  const [first, ...more] = [ends ?? filler ?? []].flat()
  const isId = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
  if (isId(first) && more.every(isId)) return [first, ...more]
  const found = JSON.stringify(ends) ?? 'nothing'
  throw new WhicheditError('E_CONFIG', { key: 'eos_token_id', expected: 'token ids', found })
}

/** The hash of everything in a checkpoint folder that decides what the model says. */
async function folderHash(
  folder: string,
  names: readonly string[],
  table: SafetensorsTable,
  ctx: Context,
): Promise<string> {
  const files = names
    .filter((name) => TEXT_FILES.includes(name))
    .sort()
    .map((name) => join(folder, name))
  const shards = [...new Set([...table.values()].map((entry) => entry.file))]
  const hashes: string[] = []
  for (const file of [...files, ...shards]) hashes.push(await contentHash(file, ctx))
  return hashOf(hashes)
}

/** Files named in an error: enough to recognise the folder. */
const NAMED_FILES = 8

function incomplete(folder: string, expected: string, files: readonly string[]): WhicheditError {
  const named = files.toSorted().slice(0, NAMED_FILES).join(', ')
  const found =
    files.length > NAMED_FILES ? `${named} and ${files.length - NAMED_FILES} more` : named || 'an empty folder'
  return new WhicheditError('E_MODEL_INCOMPLETE', { folder, expected, found })
}
