/** `methods show METHOD`: what it is, who published it, what it needs, and its settings with their published values. */
import { Args } from '@oclif/core'
import stringWidth from 'string-width'
import { formatCitation } from '../../citation.ts'
import type { Editor, HparamField } from '../../editors/editor.ts'
import { type HparamValue, type MethodText, readPublishedHparams } from '../../editors/hparams.ts'
import { ENCODER } from '../../models/index.ts'
import { listModels } from '../../models/inventory.ts'
import { BaseCommand } from '../support/base.ts'
import { formatColumns, wrap } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { findMethod } from '../support/methods.ts'
import { modelPlaces } from '../support/places.ts'

/** A setting as it is shown. */
interface Setting extends HparamField {
  readonly name: string
  /** The published value; a layer is given as a depth such as 21/32. */
  readonly value: HparamValue | null
}

/** Explains one editing method. */
export default class MethodsShow extends BaseCommand {
  static override summary = 'Explain a method: idea, paper, needs, settings.'
  static override examples = ['<%= config.bin %> <%= command.id %> rome']
  static override args = { method: Args.string({ required: true, description: 'name of the method' }) }

  async run(): Promise<object> {
    const { args } = await this.parse(MethodsShow)
    const editor = findMethod(args.method)
    const { about, defaults, models } = await readPublishedHparams(editor)
    const settings = Object.entries(editor.hparams).map(([name, field]) => ({
      name,
      ...field,
      value: defaults[name] ?? null,
    }))
    const vectors = editor.needs.includes('sentence-vectors') ? await describeVectors() : null
    this.log(formatMethod(editor, about, settings, vectors, this.display().columns))
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

function formatMethod(
  editor: Editor,
  { idea, formula, limits, notes }: MethodText,
  settings: readonly Setting[],
  vectors: string | null,
  columns: number,
): string {
  const { title, name, family, summary, paper, batch, needs } = editor
  const facts = [
    ['Family', family],
    ['Paper', formatCitation(paper)],
    ['Code', paper.code ?? 'none published'],
    ['Facts', batch === 'one' ? 'one an edit; a batch is edited one after another' : 'many in one edit'],
    ['Needs', needs.length === 0 ? 'nothing' : needs.join(', ')],
    ...(vectors === null ? [] : [['Vectors', vectors]]),
  ]
  const rows = settings.map((setting) => [
    setting.name,
    String(setting.value ?? ''),
    describeRange(setting),
    setting.reference,
    setting.meaning,
  ])
  const table = formatColumns([['SETTING', 'VALUE', 'ALLOWED', 'REFERENCE', 'MEANING'], ...rows], columns)
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
