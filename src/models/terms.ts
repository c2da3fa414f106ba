/**
 * Terms of use that a user must agree to before a model is used. The agreement is a file beside the model in the Hugging Face cache:
 * it goes where the model goes, and away with it.
 */
import { join } from 'node:path'
import { writeWhole } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { hubFolder, type ModelPlaces } from './hub-cache.ts'
import { readJsonObject } from './json.ts'
import type { KnownModel } from './known.ts'

/** Says whether a model may be used: its terms were agreed to here, or it has none. */
export async function isAgreed(model: KnownModel, places: ModelPlaces): Promise<boolean> {
  if (model.terms === undefined) return true
  // A note that cannot be read is no agreement.
  const note = await readJsonObject(noteOf(model, places)).catch(() => undefined)
  return note?.agreedTo === model.terms.url
}

/** Remembers that the user agrees to a model's terms. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function agree(model: KnownModel, places: ModelPlaces): Promise<void> {
  if (model.terms === undefined) return
  const { title, url } = model.terms
  await writeWhole(noteOf(model, places), `${JSON.stringify({ agreedTo: url, title })}\n`)
}

/** @throws E_TERMS where a model's terms were not agreed to. */
export async function requireAgreement(model: KnownModel, places: ModelPlaces): Promise<void> {
  if (model.terms === undefined || (await isAgreed(model, places))) return
  const { title: terms, url } = model.terms
  throw new WhicheditError('E_TERMS', { title: model.title, name: model.name, terms, url })
}

function noteOf({ repository }: KnownModel, { hubCache }: ModelPlaces): string {
  return join(hubFolder(repository, hubCache), 'agreed-terms.json')
}
