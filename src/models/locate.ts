/**
 * Finds a model by path, in the Hugging Face cache or by a known name, and makes it ready for a session: weights as float32
 * safetensors on disk, a config with Hugging Face's keys, a tokenizer, and a fingerprint of all three.
 */
import { readdir, realpath, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'
import { CHAT_FILES, ggufTemplate, parseTemplate, readFolderTemplate } from './chat-template.ts'
import { contentHash, hashOf } from './content-hash.ts'
import { type Conversion, convertOnce } from './convert.ts'
import { NUMBER_FORMATS } from './dequantize.ts'
import { readGguf } from './gguf.ts'
import { checkpointOf } from './gguf-checkpoint.ts'
import { tokenizerJsonOf } from './gguf-tokenizer.ts'
import { isRepository, type ModelPlaces, revisionOf, snapshotFolder } from './hub-cache.ts'
import { unknownModel } from './inventory.ts'
import { type JsonObject, readJsonObject } from './json.ts'
import { findInHub, KNOWN_MODELS } from './known.ts'
import { readSafetensorsFolder, type SafetensorsTable } from './safetensors.ts'
import { requireAgreement } from './terms.ts'
import { textConfigOf } from './text-config.ts'
import { type EndsOfText, openTokenizer } from './tokenizer.ts'
import { readTokenizer, TOKENIZER_CHOICE, TOKENIZER_FILES } from './tokenizer-files.ts'
import type { ChatTemplate, ModelFiles } from './weights.ts'

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

/**
 * Finds a model and makes it ready. The first time it may be converted to 32 bits, which takes seconds to minutes and
 * is kept in `ctx.cacheDir`; later calls take milliseconds.
 * @param reference a folder, a `.gguf` file, a name of {@link KNOWN_MODELS}, or `<owner>/<name>` in the Hugging Face cache.
 * @throws E_MODEL_UNKNOWN, E_MODEL_INCOMPLETE, E_TERMS, E_SAFETENSORS, E_GGUF, E_JSON, E_TOKENIZER, E_NUMBER_FORMAT, E_DISK_FULL, E_NOT_WRITABLE.
 */
export async function findModel(reference: string, ctx: Context, places: ModelPlaces): Promise<ModelFiles> {
  const source = await locate(reference, places)
  return source.kind === 'gguf' ? openGguf(source, ctx) : openFolder(source, ctx)
}

async function locate(reference: string, places: ModelPlaces): Promise<Source> {
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

async function openGguf({ name, path }: Source, ctx: Context): Promise<ModelFiles> {
  const contents = await contentHash(path, ctx)
  const key = hashOf([contents, `conversion ${CONVERSION_VERSION}`])
  return openConverted(key, name, ctx, async () => {
    const gguf = await readGguf(path)
    const { config, tensors: planned } = await checkpointOf(gguf)
    const tensors = planned.map(({ source, ...place }) => ({ ...source, ...place, file: gguf.file }))
    const [tokenizer, chatTemplate] = [tokenizerJsonOf(gguf), ggufTemplate(gguf)]
    return { name, storedAs: mainFormat(tensors), config, tokenizer, chatTemplate, tensors }
  })
}

async function openFolder({ name, path }: Source, ctx: Context): Promise<ModelFiles> {
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
  if ([...table.values()].every((entry) => entry.dtype === 'F32')) {
    const own = { name, fingerprint: contents, folder: path, storedAs: 'F32' }
    return ready({ ...own, config, tokenizer, chatTemplate, table })
  }
  checkFormats(table)
  const key = hashOf([contents, `conversion ${CONVERSION_VERSION}`])
  const tensors = [...table].map(([tensor, entry]) => ({ ...entry, name: tensor, format: entry.dtype }))
  return openConverted(key, name, ctx, async () => ({
    name,
    storedAs: mainFormat(tensors),
    config,
    tokenizer,
    chatTemplate,
    tensors,
  }))
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
async function openConverted(
  key: string,
  name: string,
  ctx: Context,
  plan: () => Promise<Conversion>,
): Promise<ModelFiles> {
  const kept = join(ctx.cacheDir, 'models', key)
  const opened = await openKept(kept, key, name)
  if (opened !== undefined) return opened
  await rm(kept, { recursive: true, force: true })
  await convertOnce(key, await plan(), ctx)
  const made = await openKept(kept, key, name)
  if (made === undefined) throw new WhicheditError('E_INTERNAL', { what: `findModel: ${kept} cannot be read back` })
  return made
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
  const weights = new Map(
    [...table].map(([tensor, { file, shape, offset, bytes }]) => [tensor, { file, shape, offset, bytes }]),
  )
  return { ...found, tokenizer: openTokenizer(tokenizer, frame), weights }
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

/** The format that holds most of a model's numbers. */
function mainFormat(tensors: readonly { readonly format: string; readonly shape: readonly number[] }[]): string {
  const counts = new Map<string, number>()
  for (const { format, shape } of tensors) {
    counts.set(format, (counts.get(format) ?? 0) + shape.reduce((product, size) => product * size, 1))
  }
  return [...counts].reduce((most, next) => (next[1] > most[1] ? next : most), ['F32', 0])[0]
}

/** Files named in an error: enough to recognise the folder. */
const NAMED_FILES = 8

function incomplete(folder: string, expected: string, files: readonly string[]): WhicheditError {
  const named = files.toSorted().slice(0, NAMED_FILES).join(', ')
  const found =
    files.length > NAMED_FILES ? `${named} and ${files.length - NAMED_FILES} more` : named || 'an empty folder'
  return new WhicheditError('E_MODEL_INCOMPLETE', { folder, expected, found })
}
