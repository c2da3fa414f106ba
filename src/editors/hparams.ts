/**
 * The settings of a method for one model: published values from `hparams/<method>.yaml`, then what the user says otherwise.
 *
 *   about: {idea: …, formula: …, limits: [ … ]}                                 the method in words, for help and documents
 *   defaults: {layer: 21/32, learningRate: 5e-4, …}                        every setting of the method
 *   models: [{match: {architecture: llama, layers: 28}, settings: {layer: 21}}]      what differs for a published model
 *
 * Published values are for a few large models. For any other, a layer is taken at the same relative depth: `21/32`, layer 21
 * of 32, is layer 20 of 30. Of several entries that match, the later wins. Where no entry that matches names a layer, those found
 * for this very model by trying some (`evidence/sites.ts`) go before the depth. Values are checked against the method's own
 * declaration (`Editor.hparams`): kind, range, and that the model has the layer.
 */
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { WhicheditError } from '../errors.ts'
import type { ModelConfig } from '../models/model.ts'
import { printable } from '../printable.ts'
import { readSettings } from '../settings.ts'
import type { Editor, HparamField, Hparams } from './editor.ts'

/** A setting as a user writes it. Layers may be written as a depth, `21/32`. */
export type HparamValue = number | string | boolean

/** The part of an editor that its settings depend on. */
type Declares<H extends Hparams> = Pick<Editor<H>, 'name' | 'hparams'>

/** The unit that marks a setting as a layer of the model. */
const LAYER_UNIT = 'layer'
/** Layer a of a model with b layers. */
const DEPTH = /^(\d{1,4})\/(\d{1,4})$/

/** A method in words. */
export interface MethodText {
  /** Three sentences for somebody who has not read the paper. */
  readonly idea: string
  /** The update, and its symbols, as plain text of several lines. */
  readonly formula: string
  /** What it cannot do, or does badly. */
  readonly limits: readonly string[]
  /** What is particular to it here. */
  readonly notes: readonly string[]
}

/** What a file of published settings holds. */
export interface PublishedHparams {
  readonly about: MethodText
  readonly defaults: Readonly<Record<string, HparamValue>>
  readonly models: readonly {
    readonly match: Pick<ModelConfig, 'architecture' | 'layers'> & Partial<Pick<ModelConfig, 'width'>>
    readonly settings: Readonly<Partial<Record<string, HparamValue>>>
  }[]
}

/** Layers of a model, by the settings that name them. */
export type Sites = Readonly<Record<string, number>>

/**
 * Where the value of a setting comes from: published for exactly this model; a published value for any model, or a published depth;
 * layers found for this model; or said by the user.
 */
export type HparamOrigin = 'model' | 'any' | 'depth' | 'found' | 'said'

/** What goes before published values for any model. */
export interface HparamChoices {
  /** Layers found for this model; they count only where none are published for it. */
  readonly sites?: Sites | null
  /** What the user says: goes before everything. */
  readonly overrides?: Readonly<Record<string, HparamValue>>
}

/** Settings, each with where its value comes from. */
export interface SettledHparams<H extends Hparams> {
  readonly hparams: H
  readonly origins: Readonly<Record<string, HparamOrigin>>
}

/**
 * The settings of a method for a model.
 * @throws E_SETTINGS for a wrong value in the file, with its place; E_HPARAM for a wrong one in `overrides`.
 */
export async function loadHparams<H extends Hparams>(
  editor: Declares<H>,
  config: ModelConfig,
  overrides: Readonly<Record<string, HparamValue>> = {},
): Promise<H> {
  return (await settleHparams(editor, config, { overrides })).hparams
}

/** The same, with where each value comes from. @throws as {@link loadHparams} */
export async function settleHparams<H extends Hparams>(
  editor: Declares<H>,
  config: ModelConfig,
  { sites, overrides = {} }: HparamChoices = {},
): Promise<SettledHparams<H>> {
  const { defaults, models } = await readPublishedHparams(editor)
  const matching = models.filter(
    ({ match: { architecture, layers, width = config.width } }) =>
      architecture === config.architecture && layers === config.layers && width === config.width,
  )
  const published: Record<string, HparamValue> = Object.assign({}, ...matching.map(({ settings }) => settings))
  // Layers belong together: those of a range are published, or found, all at once.
  const hasOwnSites = listSiteSettings(editor).some((name) => Object.hasOwn(published, name))
  const found: Readonly<Record<string, HparamValue>> = hasOwnSites ? {} : (sites ?? {})
  for (const [name, value] of Object.entries(overrides)) checkOverride(editor, name, value, config.layers)
  const sources = [
    ['said', overrides],
    ['model', published],
    ['found', found],
    ['any', defaults],
  ] as const
  const settled = Object.entries(editor.hparams).map(([name, field]: [string, HparamField]): Settled => {
    const [origin, { [name]: value }] = sources.find(([, values]) => Object.hasOwn(values, name)) ?? ['any', defaults]
    return field.unit === LAYER_UNIT
      ? { name, value: resolveLayer(value, config.layers), origin: origin === 'any' ? 'depth' : origin }
      : { name, value, origin }
  })
  // The one place where checked settings get the method's own type.
  const hparams = Object.fromEntries(settled.map(({ name, value }) => [name, value])) as H
  return { hparams, origins: Object.fromEntries(settled.map(({ name, origin }) => [name, origin])) }
}

interface Settled {
  readonly name: string
  readonly value: HparamValue | undefined
  readonly origin: HparamOrigin
}

/** The settings of a method that name layers of the model, in their order; a method over several layers names first and last. */
export function listSiteSettings<H extends Hparams>({ hparams }: Declares<H>): string[] {
  return Object.entries(hparams).flatMap(([name, { unit }]: [string, HparamField]) =>
    unit === LAYER_UNIT ? [name] : [],
  )
}

/**
 * A method's published settings as they stand in its file, which needs no model.
 * @throws E_SETTINGS for what is wrong in the file, E_SETTINGS_MISSING where there is none.
 */
export async function readPublishedHparams<H extends Hparams>(editor: Declares<H>): Promise<PublishedHparams> {
  // The folder lies beside both `src` and `dist`.
  const file = fileURLToPath(new URL(`../../hparams/${editor.name}.yaml`, import.meta.url))
  return readSettings(file, publishedSchema(editor.hparams))
}

const SENTENCE = z.string().min(1)
const METHOD_TEXT: z.ZodType<MethodText> = z.strictObject({
  idea: SENTENCE,
  formula: SENTENCE,
  limits: z.array(SENTENCE).min(1),
  notes: z.array(SENTENCE).default([]),
})

/** What a file of published settings must be for a method that declares these settings. */
export function publishedSchema(fields: Readonly<Record<string, HparamField>>): z.ZodType<PublishedHparams> {
  const shape = (schemaOf: (field: HparamField) => z.ZodType<HparamValue>) =>
    z.strictObject(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, schemaOf(field)])))
  const defaults = shape((field) =>
    z.custom<HparamValue>((value) => isAllowed(field, value, null), describeAllowed(field, null)),
  )
  const match = z.strictObject({
    architecture: z.string(),
    layers: z.int().min(1),
    width: z.int().min(1).optional(),
  })
  const scalar = z.union([z.number(), z.string(), z.boolean()])
  const entry = z.strictObject({ match, settings: shape(() => scalar).partial() }).superRefine((entry, ctx) => {
    for (const [name, field] of Object.entries(fields)) {
      const value = entry.settings[name]
      if (value === undefined || isAllowed(field, value, entry.match.layers)) continue
      ctx.addIssue({
        code: 'custom',
        path: ['settings', name],
        message: describeAllowed(field, entry.match.layers),
      })
    }
  })
  return z.strictObject({ about: METHOD_TEXT, defaults, models: z.array(entry).default([]) })
}

function checkOverride<H extends Hparams>(editor: Declares<H>, name: string, value: HparamValue, layers: number): void {
  const fields: Readonly<Record<string, HparamField>> = editor.hparams
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (field !== undefined && isAllowed(field, value, layers)) return
  const known = Object.keys(fields)
  const expected = field === undefined ? `one of the settings ${known.join(', ')}` : describeAllowed(field, layers)
  throw new WhicheditError('E_HPARAM', {
    method: editor.name,
    setting: printable(name),
    expected,
    found: printable(String(value)),
  })
}

/** Whether a setting may have this value in a model with so many layers; null: the model is not known, and layers need a depth. */
function isAllowed(field: HparamField, value: unknown, layers: number | null): boolean {
  if (field.unit === LAYER_UNIT) {
    if (typeof value === 'string') return parseDepth(value) !== undefined
    return layers !== null && Number.isInteger(value) && Number(value) >= 0 && Number(value) < layers
  }
  const { range } = field
  if (range === undefined) return typeof value === 'boolean'
  if (isWords(range)) return typeof value === 'string' && range.includes(value)
  return (
    typeof value === 'number' && value >= range[0] && value <= range[1] && (!field.whole || Number.isInteger(value))
  )
}

/** The values that {@link isAllowed} takes, in words. */
function describeAllowed({ unit, range, whole }: HparamField, layers: number | null): string {
  if (unit === LAYER_UNIT) {
    const depth = 'a depth such as 21/32'
    return layers === null ? depth : `a layer from 0 to ${layers - 1} or ${depth}`
  }
  if (range === undefined) return 'true or false'
  if (isWords(range)) return `one of ${range.join(', ')}`
  return `a ${whole ? 'whole ' : ''}number from ${range[0]} to ${range[1]} (${unit})`
}

function isWords(range: NonNullable<HparamField['range']>): range is readonly string[] {
  return typeof range[0] === 'string'
}

/** A depth `a/b` with a < b as a fraction. */
function parseDepth(text: string): number | undefined {
  const [, layer, of] = DEPTH.exec(text) ?? []
  return Number(layer) < Number(of) ? Number(layer) / Number(of) : undefined
}

/** The layer at a depth: the nearest, the last at most. */
function resolveLayer(value: HparamValue | undefined, layers: number): number {
  const depth = typeof value === 'string' ? parseDepth(value) : undefined
  return depth === undefined ? Number(value) : Math.min(Math.round(depth * layers), layers - 1)
}
