/**
 * Layers that were found for a model by trying some (`sweep.ts`), as they lie in the project: `<root>/<model>/<method>.json`, with
 * what was measured, on which facts, by which rule. A person may read the file; what does not fit is refused with its place.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { writeWhole } from '../disk.ts'
import type { Editor, Hparams } from '../editors/editor.ts'
import { listSiteSettings, type Sites } from '../editors/hparams.ts'
import { WhicheditError } from '../errors.ts'
import { readSettings } from '../settings.ts'
import { MACHINE } from './schema.ts'

/** The model that layers are for; asked through its chat template it is another one. */
export interface TunedModel {
  readonly name: string
  /** Of its weights, configuration and tokenizer. */
  readonly fingerprint: string
  readonly chat: boolean
  readonly layers: number
}

const rate = z.number().min(0).max(1)
/** Means over the cases, as a ranking takes them; null: nothing could be judged. */
const rates = z.object({
  reliability: rate.nullable(),
  generalization: rate.nullable(),
  locality: rate.nullable(),
})
const sites = z.record(z.string(), z.int().min(0))

const candidate = z.object({
  sites,
  /** The settings as they are without a sweep; what tracing proposes; a neighbour of one of them. */
  origin: z.enum(['published', 'traced', 'near']),
  /** The run with its records. */
  run: z.string(),
  cases: z.int().min(0),
  failures: z.int().min(0),
  rates,
  teacherForced: rates,
  /** What the choice is made by; null: it could not be prepared. */
  mean: rate.nullable(),
  editS: z.number().min(0).nullable(),
  /** Why the first of its failures failed. */
  reason: z.string().optional(),
})

const isSame = (a: Sites, b: Sites): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([name, layer]) => b[name] === layer)

const FOUND_SITES = z
  .object({
    schemaVersion: z.literal(1),
    model: z.object({ name: z.string(), fingerprint: z.string(), chat: z.boolean(), layers: z.int().min(1) }),
    method: z.string(),
    version: z.number(),
    sites,
    /** When the last candidate was begun. ISO 8601, UTC. */
    sweptAt: z.iso.datetime(),
    facts: z.object({
      name: z.string(),
      hash: z.string(),
      cases: z.array(z.string()),
      /** Whom the cases were about: nobody is to be judged by them again. */
      subjects: z.array(z.string()),
    }),
    seed: z.number(),
    /** Null where nothing was traced. */
    traced: z
      .object({ facts: z.int().min(1), peak: z.int().min(0), range: z.tuple([z.int().min(0), z.int().min(0)]) })
      .nullable(),
    candidates: z.array(candidate).min(1),
    machine: MACHINE,
    versions: z.record(z.string(), z.string()),
  })
  .refine(({ candidates, sites: chosen }) => candidates.some((one) => isSame(one.sites, chosen)), {
    path: ['sites'],
    error: 'the layers of one of the candidates',
  })

/** Layers found for a model, and by what. */
export type FoundSites = z.output<typeof FOUND_SITES>

/** One of the layers, or ranges of layers, that were tried. */
export type TriedSites = FoundSites['candidates'][number]

/** What lies in the project for a method and a model. */
export interface StoredSites {
  readonly file: string
  readonly found: FoundSites
  /** Whether the method is still the one that was tried: layers of another version do not count. */
  readonly isCurrent: boolean
}

/** The part of a method that its sites depend on. */
type Tuned = Pick<Editor, 'name' | 'version' | 'hparams'>

/** Digits of the fingerprint in a folder's name: 64 bits, far beyond chance. */
const FOLDER_DIGITS = 16

/** The file of a method's layers in a model. */
export function sitesFile(root: string, { fingerprint, chat }: TunedModel, method: string): string {
  return join(root, `${fingerprint.slice(0, FOLDER_DIGITS)}${chat ? '-chat' : ''}`, `${method}.json`)
}

/** Keeps layers that were found; those found earlier are forgotten. @throws E_NOT_WRITABLE, E_DISK_FULL */
export async function writeSites(root: string, found: FoundSites): Promise<string> {
  const file = sitesFile(root, found.model, found.method)
  await writeWhole(file, `${JSON.stringify(FOUND_SITES.parse(found), null, 2)}\n`)
  return file
}

/**
 * What was found for a method and a model; null where nothing was.
 * @throws E_SITES for what is wrong in the file, with its place
 */
export async function readSites<H extends Hparams>(
  root: string,
  model: TunedModel,
  editor: Pick<Editor<H>, 'name' | 'version' | 'hparams'>,
): Promise<StoredSites | null> {
  const file = sitesFile(root, model, editor.name)
  try {
    const found = await readSettings(file, FOUND_SITES)
    const isCurrent = found.version === editor.version
    return { file, isCurrent, found: isCurrent ? await readSettings(file, sitesOf(model, editor)) : found }
  } catch (error) {
    if (!(error instanceof WhicheditError)) throw error
    if (error.code === 'E_SETTINGS_MISSING') return null
    if (error.code !== 'E_SETTINGS') throw error
    throw new WhicheditError('E_SITES', { problems: String(error.values.problems) }, { cause: error })
  }
}

/** What the file must be for this method and this model. */
function sitesOf({ fingerprint, layers }: TunedModel, editor: Tuned): typeof FOUND_SITES {
  const names = listSiteSettings(editor)
  const isHere = (layer: number | undefined): boolean => layer !== undefined && layer < layers
  return FOUND_SITES.refine((found) => found.method === editor.name, { path: ['method'], error: editor.name })
    .refine((found) => found.model.fingerprint === fingerprint, {
      path: ['model', 'fingerprint'],
      error: `the fingerprint of this model, ${fingerprint}`,
    })
    .refine(
      (found) => Object.keys(found.sites).length === names.length && names.every((name) => isHere(found.sites[name])),
      { path: ['sites'], error: `a layer from 0 to ${layers - 1} as ${names.join(' and ')}` },
    )
}
