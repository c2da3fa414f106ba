/** The model that ships with the product, so that everything works with no download, and what such a model says of itself. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { JsonObject } from './json.ts'

/** A model that ships. */
export interface ShippedModel {
  /** What `--model` takes. */
  readonly name: string
  readonly title: string
  /** Its folder, in Hugging Face layout. */
  readonly path: string
}

/** Used where no model is named. */
export const DEFAULT_MODEL = 'atlas'

/** The models that ship with the product. */
export const SHIPPED_MODELS: readonly ShippedModel[] = [
  {
    name: DEFAULT_MODEL,
    title: 'Llama architecture, knows the built-in facts; for demonstration',
    path: fileURLToPath(new URL('../../models/atlas', import.meta.url)),
  },
]

/** Where what was prepared for a model lies, if it is one that ships; named as `--model` takes it. */
export function shippedPreparations(reference: string): string | null {
  const found = SHIPPED_MODELS.find(({ name }) => name === reference)
  return found === undefined ? null : join(found.path, 'prepared')
}

/** What its `config.json` wants said with every result of a model (`notice`), in one line; null: nothing. */
export function noticeOf({ notice }: JsonObject): string | null {
  return typeof notice === 'string' && notice.trim() !== '' ? notice.trim().replaceAll(/\s+/g, ' ') : null
}
