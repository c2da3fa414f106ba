/** What models there are: those with a short name, here or not, and those of the Hugging Face cache. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readJsonObject } from './json.ts'
import { fileInHub, KNOWN_MODELS, type ModelPlaces } from './known.ts'

/** A model that can be named. */
export interface ListedModel {
  /** What `--model` takes. */
  readonly name: string
  readonly title: string
  /** Where it lies; null where it first has to be pulled. */
  readonly path: string | null
  /** Size of its files where it lies here. */
  readonly bytes: number | null
}

/** Lists models. Folders of the cache that hold none, or one without a main commit, are passed over. */
export async function listModels(places: ModelPlaces): Promise<ListedModel[]> {
  const known = await Promise.all(
    KNOWN_MODELS.map((model) => listKnown(model.name, model.title, fileInHub(model, places.hubCache))),
  )
  const folders = await readdir(places.hubCache).catch(() => [])
  const cached = await Promise.all(folders.sort().map((folder) => listCached(folder, places)))
  return [...known, ...cached.filter((model) => model !== undefined)]
}

async function listKnown(name: string, title: string, file: string): Promise<ListedModel> {
  const found = await stat(file).catch(() => undefined)
  return { name, title, path: found ? file : null, bytes: found?.size ?? null }
}

async function listCached(folder: string, { hubCache }: ModelPlaces): Promise<ListedModel | undefined> {
  const [, owner, repository] = /^models--([\w.-]+?)--([\w.-]+)$/.exec(folder) ?? []
  const name = `${owner}/${repository}`
  if (owner === undefined || KNOWN_MODELS.some((model) => model.repository === name)) return undefined
  const revision = (await readFile(join(hubCache, folder, 'refs', 'main'), 'utf8').catch(() => '')).trim()
  const path = join(hubCache, folder, 'snapshots', revision)
  const files = revision === '' ? [] : await readdir(path).catch(() => [])
  const weights = files.filter((file) => /\.(safetensors|gguf)$/.test(file))
  if (weights.length === 0) return undefined
  const sizes = await Promise.all(
    weights.map((file) =>
      stat(join(path, file)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return { name, title: await titleOf(path, files), path, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

async function titleOf(path: string, files: readonly string[]): Promise<string> {
  if (!files.includes('config.json')) return 'GGUF'
  const config = await readJsonObject(join(path, 'config.json')).catch(() => undefined)
  return String(config?.model_type ?? 'unreadable config.json')
}
