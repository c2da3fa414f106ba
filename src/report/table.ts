/**
 * A ranking for a terminal. The first lines answer who leads, by how much, how sure that is, what would change it and what is
 * out; then a table with as many columns as fit; then notes and sources. Where no table fits each method is a stack of lines.
 */
import { styleText } from 'node:util'
import Table from 'cli-table3'
import stringWidth from 'string-width'
import { printable } from '../printable.ts'
import { CRITERION_NAMES, type Criterion } from '../scoring/criteria.ts'
import type { Ranking } from '../scoring/ranking.ts'
import { formatInterval, formatMargin, formatPoints, formatRank, formatSource, formatWeight } from './cells.ts'
import type { ReportOptions } from './report.ts'
import { explainRanking, formatProbability, nameOf } from './sentence.ts'

/** What a table shows besides rank, method, score, probability and criteria. */
interface Layout {
  /** Whole names and intervals of the criteria. */
  readonly intervals: boolean
  /** A bar for the score. */
  readonly bar: boolean
  /** The score in the other reading. */
  readonly other: boolean
  /** Columns that a method's name may take. */
  readonly name: number
}

/** From the richest down; the first that fits is taken. */
const LAYOUTS: readonly Layout[] = [
  { intervals: true, bar: true, other: true, name: 24 },
  { intervals: false, bar: true, other: true, name: 24 },
  { intervals: false, bar: false, other: true, name: 24 },
  { intervals: false, bar: false, other: false, name: 24 },
  { intervals: false, bar: false, other: false, name: 10 },
]
const BAR_WIDTH = 10
const STACK_NAME = 24

/** Writes a ranking for a terminal. */
export function renderTable(ranking: Ranking, options: ReportOptions): string {
  const columns = Math.max(20, options.columns)
  const paint = painter(options.color)
  const [head = '', ...rest] = explainRanking(ranking)
  const blocks = [
    [...wrap(head, columns).map((line) => paint('bold', line)), ...rest.flatMap((text) => wrap(text, columns))].join(
      '\n',
    ),
    arrange(ranking, columns, paint),
    ranking.notes.flatMap((note) => hang('! ', wrap(printable(note), columns - 2))).join('\n'),
    formatSource(ranking)
      .flatMap((line) => wrap(line, columns))
      .map((line) => paint('dim', line))
      .join('\n'),
  ]
  const text = `${blocks.filter((block) => block !== '').join('\n\n')}\n`
  return options.unicode ? text : toAscii(text)
}

type Paint = (style: 'bold' | 'dim', text: string) => string

function painter(color: boolean): Paint {
  // The stream is asked by the caller; the text may go elsewhere.
  return (style, text) => (color ? styleText(style, text, { validateStream: false }) : text)
}

function arrange(ranking: Ranking, columns: number, paint: Paint): string {
  for (const layout of LAYOUTS) {
    const table = tabulate(ranking, layout, paint)
    if (table.split('\n').every((line) => stringWidth(line) <= columns)) return table
  }
  return stack(ranking, columns)
}

function tabulate(ranking: Ranking, layout: Layout, paint: Paint): string {
  const optional = <T>(isShown: boolean, cell: T): T[] => (isShown ? [cell] : [])
  const table = new Table({
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    colAligns: [
      'left',
      'left',
      'right',
      ...optional(layout.bar, 'left' as const),
      ...optional(layout.other, 'right' as const),
      'right',
      ...CRITERION_NAMES.map(() => 'right' as const),
    ],
  })
  const row = (cells: Cells): string[] => [
    cells.rank,
    cells.method,
    cells.score,
    ...optional(layout.bar, cells.bar),
    ...optional(layout.other, cells.other),
    cells.best,
    ...cells.criteria,
  ]
  const heads = CRITERION_NAMES.map((name) => (layout.intervals ? name : shortName(name)))
  const weights = CRITERION_NAMES.map((name) => formatWeight(ranking.weights[name]))
  const other = ranking.reading === 'free-running' ? 'forced' : 'free'
  const names = { rank: '', method: 'method', score: 'score', bar: '', other, best: 'best', criteria: heads }
  const blank = { rank: '', method: '', score: '', bar: '', other: '', best: '', criteria: weights }
  table.push(row(names).map((cell) => paint('bold', cell)))
  table.push(row(blank).map((cell) => paint('dim', cell)))
  for (const method of ranking.ranking) {
    const { score, pBest, criteria } = method
    const cells = row({
      rank: formatRank(method),
      method: truncate(nameOf(method), layout.name),
      score: formatMargin({ value: score, low: method.scoreLow, high: method.scoreHigh }),
      bar: drawBar(score),
      other: formatPoints(method.otherReadingScore),
      best: pBest === null ? '' : formatProbability(pBest),
      criteria: CRITERION_NAMES.map((name) =>
        layout.intervals ? formatInterval(criteria[name]) : formatPoints(criteria[name].value),
      ),
    })
    table.push(method.rank === null ? cells.map((cell) => paint('dim', cell)) : cells)
  }
  return trimLines(table.toString())
}

interface Cells {
  readonly rank: string
  readonly method: string
  readonly score: string
  readonly bar: string
  readonly other: string
  readonly best: string
  readonly criteria: readonly string[]
}

function stack(ranking: Ranking, columns: number): string {
  return ranking.ranking
    .map((method) => {
      const score = formatMargin({ value: method.score, low: method.scoreLow, high: method.scoreHigh })
      const best = method.pBest === null ? '' : `, best ${formatProbability(method.pBest)}`
      const values = CRITERION_NAMES.map((name) => `${name} ${formatPoints(method.criteria[name].value)}`).join(', ')
      const indent = ' '.repeat(4)
      const head = `${formatRank(method).padEnd(4)}${truncate(nameOf(method), STACK_NAME)} ${score}${best}`
      return [...hang('', wrap(head, columns)), ...wrap(values, columns - 4).map((line) => indent + line)].join('\n')
    })
    .join('\n')
}

/** The first letters, enough to tell the criteria apart. */
function shortName(name: Criterion): string {
  return `${name.slice(0, 5)}.`
}

function drawBar(score: number | null): string {
  const full = Math.round((Math.min(100, Math.max(0, score ?? 0)) / 100) * BAR_WIDTH)
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full)
}

function truncate(text: string, width: number): string {
  if (stringWidth(text) <= width) return text
  const kept = [...text]
  while (stringWidth(kept.join('')) >= width) kept.pop()
  return `${kept.join('')}…`
}

/** Breaks text at spaces; a word that is longer than a line is broken too. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = ['']
  for (const word of text.split(' ').flatMap((whole) => breakWord(whole, width))) {
    const last = lines.at(-1) ?? ''
    if (last === '') lines[lines.length - 1] = word
    else if (stringWidth(last) + 1 + stringWidth(word) <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

function breakWord(word: string, width: number): string[] {
  const pieces = ['']
  for (const character of word) {
    const last = pieces.at(-1) ?? ''
    if (stringWidth(last + character) <= width) pieces[pieces.length - 1] = last + character
    else pieces.push(character)
  }
  return pieces
}

/** Puts a mark before the first line and as much space before the others. */
function hang(mark: string, lines: readonly string[]): string[] {
  return lines.map((line, i) => (i === 0 ? mark : ' '.repeat(mark.length)) + line)
}

function trimLines(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

const ASCII: Readonly<Record<string, string>> = {
  '█': '#',
  '░': '.',
  '±': '+-',
  '–': '-',
  '−': '-',
  '·': '|',
  '…': '~',
}

function toAscii(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them
  return text.replace(/[^\u0000-\u007f]/gu, (character) => ASCII[character] ?? '?')
}

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
}
