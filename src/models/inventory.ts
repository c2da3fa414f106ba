/** What models there are: those that ship, those with a short name, here or not, and those of the Hugging Face cache. */
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { WhicheditError } from '../errors.ts'
import { suggest } from '../suggest.ts'
import { isRepository, type ModelPlaces, revisionOf, snapshotFolder } from './hub-cache.ts'
import { readJsonObject } from './json.ts'
import { kindOf, type ModelKind } from './kind.ts'
import { findInHub, KNOWN_MODELS, type KnownModel } from './known.ts'
import { SHIPPED_MODELS, type ShippedModel } from './shipped.ts'

/** A model that can be named. */
export interface ListedModel {
  /** What `--model` takes. */
  readonly name: string
  readonly title: string
  readonly kind: ModelKind
  /** Where it lies; null where it first has to be pulled. */
  readonly path: string | null
  /** Size of its files where it lies here. */
  readonly bytes: number | null
}

const CACHED = /^models--([\w.-]+)$/
const WEIGHTS = /\.(safetensors|gguf)$/

/** Lists models. Folders of the cache that hold none, or one without a main commit, are passed over. */
export async function listModels(places: ModelPlaces): Promise<ListedModel[]> {
  const shipped = await Promise.all(SHIPPED_MODELS.map(listShipped))
  const known = await Promise.all(KNOWN_MODELS.map((model) => listKnown(model, places)))
  const folders = await readdir(places.hubCache).catch(() => [])
  const cached = await Promise.all(folders.sort().map((folder) => listCached(folder, places)))
  return [...shipped, ...known, ...cached.filter((model) => model !== undefined)]
}

/**
 * The error for a name that leads to no model. It says which may have been meant: one that lies here is to be named, another to be
 * brought first.
 */
export async function unknownModel(reference: string, places: ModelPlaces): Promise<WhicheditError> {
  const models = await listModels(places)
  const [nearest] = suggest(
    reference,
    models.map(({ name }) => name),
  )
  // An encoder is none to be given as --model.
  const here = models.find(({ name, kind, path }) => name === nearest && kind === 'language-model' && path !== null)
  const named = [...SHIPPED_MODELS, ...KNOWN_MODELS].map(({ name }) => name)
  const wanted =
    nearest ?? (reference.includes('/') && isRepository(reference) ? reference : (KNOWN_MODELS[0]?.name ?? ''))
  const advice = here === undefined ? `whichedit models pull ${wanted}` : `--model ${here.name}`
  return new WhicheditError('E_MODEL_UNKNOWN', { reference, names: named.join(', '), advice })
}

async function listShipped({ name, title, path }: ShippedModel): Promise<ListedModel> {
  return { name, title, kind: 'language-model', path, bytes: await sizeOf(path, ['model.safetensors']) }
}

async function listKnown(model: KnownModel, places: ModelPlaces): Promise<ListedModel> {
  const { name, title, kind, files } = model
  const path = await findInHub(model, places)
  if (path === undefined) return { name, title, kind, path: null, bytes: null }
  const folder = path.endsWith('.gguf') ? dirname(path) : path
  return {
    name,
    title,
    kind,
    path,
    bytes: await sizeOf(
      folder,
      files.map((file) => file.path),
    ),
  }
}

async function listCached(folder: string, { hubCache }: ModelPlaces): Promise<ListedModel | undefined> {
  const name = CACHED.exec(folder)?.[1]?.replace('--', '/')
  if (name === undefined || KNOWN_MODELS.some(({ repository }) => repository === name)) return undefined
  const revision = await revisionOf(name, hubCache)
  if (revision === undefined) return undefined
  const path = snapshotFolder({ repository: name, revision }, hubCache)
  const files: string[] = await readdir(path).catch(() => [])
  const weights = files.filter((file) => WEIGHTS.test(file))
  if (weights.length === 0) return undefined
  return { name, ...(await describe(path, files)), path, bytes: await sizeOf(path, weights) }
}

async function describe(path: string, files: readonly string[]): Promise<Pick<ListedModel, 'title' | 'kind'>> {
  if (!files.includes('config.json')) {
    return { title: files.some((file) => file.endsWith('.gguf')) ? 'GGUF' : 'no config.json', kind: 'language-model' }
  }
  const config = await readJsonObject(join(path, 'config.json')).catch(() => ({ model_type: 'unreadable config.json' }))
  return { title: String(config.model_type ?? 'no model_type'), kind: kindOf(config) }
}

async function sizeOf(folder: string, files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    files.map((file) =>
      stat(join(folder, file)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
