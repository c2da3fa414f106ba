/**
 * `methods show METHOD`: what it is, who published it, what it needs, and its settings with their published values; with --model
 * their values for that model, where each comes from, and the layers that were tried for it here.
 */
import { Args } from '@oclif/core'
import stringWidth from 'string-width'
import { formatCitation } from '../../citation.ts'
import type { Context } from '../../context.ts'
import type { Editor, HparamField, Hparams } from '../../editors/editor.ts'
import {
  type HparamOrigin,
  type HparamValue,
  type MethodText,
  readPublishedHparams,
  type SettledHparams,
  settleHparams,
} from '../../editors/hparams.ts'
import { readSites, type StoredSites } from '../../evidence/sites.ts'
import { ENCODER, openNetwork } from '../../models/index.ts'
import { listModels } from '../../models/inventory.ts'
import { describeModel } from '../../models/locate.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatColumns, wrap } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { FLAGS, modelFlag } from '../support/flags.ts'
import { findMethod } from '../support/methods.ts'
import { modelPlaces, SITES_FOLDER } from '../support/places.ts'
import { countFacts, describeTraced, failureLines, sitesTable } from '../support/sites-table.ts'

/** A setting as it is shown. */
interface Setting extends HparamField {
  readonly name: string
  /** The published value, a layer as a depth such as 21/32; with --model its value there. */
  readonly value: HparamValue | null
  /** With --model: where the value comes from. */
  readonly origin?: HparamOrigin
}

/** A method's settings for one model. */
interface ForModel {
  readonly model: { readonly name: string; readonly fingerprint: string }
  readonly settled: SettledHparams<Hparams>
  /** The layers that were tried for it here, if any were. */
  readonly sites: StoredSites | null
}

/** Explains one editing method. */
export default class MethodsShow extends BaseCommand {
  static override summary = 'Explain a method: idea, paper, needs, settings.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> rome',
    '<%= config.bin %> <%= command.id %> rome --model smollm2-135m',
  ]
  static override args = { method: Args.string({ required: true, description: 'name of the method' }) }
  static override flags = {
    model: modelFlag('show the settings for this model, and where they come from: a name, a folder or a GGUF file'),
    chat: FLAGS.chat,
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(MethodsShow)
    const editor = findMethod(args.method)
    const { about, defaults, models } = await readPublishedHparams(editor)
    const own = flags.model === undefined ? null : await settleFor(editor, flags.model, flags.chat, this.context())
    const settings = Object.entries(editor.hparams).map(([name, field]): Setting => {
      const origin = own?.settled.origins[name]
      const value = own === null ? defaults[name] : own.settled.hparams[name]
      return { name, ...field, value: value ?? null, ...(origin === undefined ? {} : { origin }) }
    })
    const vectors = editor.needs.includes('sentence-vectors') ? await describeVectors() : null
    const { columns } = this.display()
    const texts = (setting: Setting): string => (own === null ? '' : describeOrigin(setting, defaults, own.sites))
    this.log(formatMethod(editor, { about, settings, vectors, model: own?.model.name ?? null, texts }, columns))
    if (own?.sites != null) this.log(`\n${describeTried(own, columns)}`)
    const { name, title, summary, family, paper, batch, needs, version } = editor
    return {
      schemaVersion: SCHEMA_VERSION,
      name,
      title,
      summary,
      ...about,
      family,
      paper,
      batch,
      needs,
      sentenceVectors: vectors,
      version,
      settings,
      models,
      ...(own === null ? {} : { model: own.model, sites: own.sites }),
    }
  }
}

/** What makes the sentence vectors of methods that search by them, on this machine. */
async function describeVectors(): Promise<string> {
  const models = await listModels(modelPlaces())
  const isHere = models.some(({ name, path }) => name === ENCODER && path !== null)
  return isHere
    ? `by the encoder ${ENCODER}`
    : `by the edited model's own hidden states, as ${ENCODER} is not here: models pull ${ENCODER} brings it`
}

/** Settles a method for a model, of which only headers are read. */
async function settleFor(editor: Editor, reference: string, chat: boolean, ctx: Context): Promise<ForModel> {
  const found = await describeModel(reference, ctx, modelPlaces())
  const { config } = openNetwork(found.config, found.weights).network
  const { name, fingerprint } = found
  const sites = await readSites(SITES_FOLDER, { name, fingerprint, chat, layers: config.layers }, editor)
  const settled = await settleHparams(editor, config, { sites: sites?.isCurrent ? sites.found.sites : null })
  return { model: { name, fingerprint }, settled, sites }
}

function describeOrigin(
  { name, origin }: Setting,
  defaults: Readonly<Record<string, HparamValue>>,
  sites: StoredSites | null,
): string {
  if (origin === 'model') return 'published for this model'
  if (origin === 'depth') return `published depth ${defaults[name]}`
  if (origin === 'found' && sites !== null) return `found here, ${sites.found.sweptAt.slice(0, 10)}`
  return 'default'
}

/** The layers that were tried for a model, and whether the best of them are in use. */
function describeTried({ model, settled, sites }: ForModel, columns: number): string {
  if (sites === null) return ''
  const { found, isCurrent } = sites
  const { facts, sweptAt, traced } = found
  const by = `${countFacts(facts.cases.length)} of ${printable(facts.name)}`
  const isUsed = Object.values(settled.origins).includes('found')
  const use = isUsed
    ? 'and in use.'
    : isCurrent
      ? 'but layers published for exactly this model are in use.'
      : 'but for an older version of the method, and not in use: `models tune` finds them again.'
  return [
    `Tried for ${printable(model.name)} on ${sweptAt.slice(0, 10)} by ${by}, ${use}`,
    ...(traced === null ? [] : [describeTraced(traced)]),
    formatColumns(sitesTable(found), columns),
    ...failureLines(found),
  ].join('\n')
}

/** What stands around a method's settings. */
interface Shown {
  readonly about: MethodText
  readonly settings: readonly Setting[]
  readonly vectors: string | null
  /** The model whose settings they are. */
  readonly model: string | null
  /** Where a setting comes from. */
  readonly texts: (setting: Setting) => string
}

function formatMethod(editor: Editor, { about, settings, vectors, model, texts }: Shown, columns: number): string {
  const { idea, formula, limits, notes } = about
  const { title, name, family, summary, paper, batch, needs } = editor
  const facts = [
    ['Family', family],
    ['Paper', formatCitation(paper)],
    ['Code', paper.code ?? 'none published'],
    ['Facts', batch === 'one' ? 'one an edit; a batch is edited one after another' : 'many in one edit'],
    ['Needs', needs.length === 0 ? 'nothing' : needs.join(', ')],
    ...(vectors === null ? [] : [['Vectors', vectors]]),
    ...(model === null ? [] : [['Model', printable(model)]]),
  ]
  const rows = settings.map((setting) => [
    setting.name,
    String(setting.value ?? ''),
    ...(model === null ? [describeRange(setting), setting.reference] : [texts(setting)]),
    setting.meaning,
  ])
  const heads = model === null ? ['ALLOWED', 'REFERENCE'] : ['FROM']
  const table = formatColumns([['SETTING', 'VALUE', ...heads, 'MEANING'], ...rows], columns)
  return [
    `${title} (${name})`,
    ...wrap(summary, columns),
    '',
    ...wrap(idea, columns),
    '',
    ...formula.split('\n').flatMap((line) => wrapFormula(line, columns)),
    '',
    formatColumns(facts, columns),
    '',
    'What it cannot do, and what to know:',
    ...[...limits, ...notes].flatMap((text) => listItem(text, columns)),
    '',
    settings.length === 0 ? 'It has no settings.' : table,
  ].join('\n')
}

/** A line of a formula keeps its inner spaces, unless it has to be broken. */
function wrapFormula(line: string, columns: number): string[] {
  if (line === '') return ['']
  return stringWidth(line) + 2 <= columns ? [`  ${line}`] : wrap(line, columns - 2).map((part) => `  ${part}`)
}

function listItem(text: string, columns: number): string[] {
  return wrap(text, columns - 2).map((line, i) => (i === 0 ? `- ${line}` : `  ${line}`))
}

function describeRange({ range, unit, whole }: HparamField): string {
  if (unit === 'layer') return 'a layer'
  if (range === undefined) return 'true, false'
  const [first, last] = range
  if (typeof first === 'string') return range.join(', ')
  return `${first}–${last}${unit === '1' ? '' : ` ${unit}`}${whole === true ? ', whole' : ''}`
}
