/**
 * A heat map: rows of numbers from 0 to 1 as shades, for a terminal, and as a picture (SVG) that stands alone. Nothing is said
 * by colour alone: shades grow with the number, and the picture names each number on pointing at it.
 */
import stringWidth from 'string-width'
import { printable } from '../printable.ts'
import type { ReportOptions } from './report.ts'

/** Numbers with names. Values below 0 count as 0, above 1 as 1; null: there is none. */
export interface HeatMap {
  readonly title: string
  /** Of a row, from the top. */
  readonly rows: readonly string[]
  /** Of a column, from the left. */
  readonly columns: readonly string[]
  readonly values: readonly (readonly (number | null)[])[]
}

const SHADES = [' ', '░', '▒', '▓', '█']
/** In ASCII the number itself, in tenths; 9 is 0.9 and more. */
const DIGITS = [...'.123456789']
const NOTHING = '-'
const LONGEST_NAME = 20
/** Columns between two that are named. */
const NAMED = 5

/** Writes a heat map for a terminal: two characters a number where they fit, else one. */
export function renderHeatMap({ title, rows, columns, values }: HeatMap, options: ReportOptions): string {
  const names = rows.map((name) => shorten(printable(name)))
  const indent = Math.max(0, ...names.map((name) => stringWidth(name))) + 1
  const width = indent + 2 * columns.length <= options.columns ? 2 : 1
  const line = (name: string, cells: string): string =>
    `${' '.repeat(indent - 1 - stringWidth(name))}${name} ${cells}`.trimEnd()
  const head = columns.map((name, i) => (i % NAMED === 0 ? name : '')).map((name) => name.padEnd(width))
  return [
    printable(title),
    line('', fitHead(head, width)),
    ...names.map((name, row) =>
      line(name, (values[row] ?? []).map((value) => shade(value, options.unicode).repeat(width)).join('')),
    ),
  ].join('\n')
}

/** Names longer than their column run into the ones after them, which have none. */
function fitHead(cells: readonly string[], width: number): string {
  let text = ''
  cells.forEach((cell, i) => {
    if (text.length <= i * width) text += ' '.repeat(i * width - text.length) + cell.trimEnd()
  })
  return text
}

function shade(value: number | null, unicode: boolean): string {
  const marks = unicode ? SHADES : DIGITS
  if (value === null) return NOTHING
  return marks[Math.min(marks.length - 1, Math.floor(clamp(value) * marks.length))] ?? ' '
}

const clamp = (value: number): number => Math.min(1, Math.max(0, value))

function shorten(name: string): string {
  const visible = name.trim() === '' ? JSON.stringify(name) : name
  return visible.length > LONGEST_NAME ? `${visible.slice(0, LONGEST_NAME - 1)}…` : visible
}

/** Sizes of the picture, in its own units. */
const CELL = 22
const LABEL = 150
const HEAD = 44
const GAP = 24
const FONT = 'font-family="system-ui, sans-serif" font-size="12" fill="#222"'

/** Writes heat maps, one below the other, as one SVG picture. */
export function renderHeatMapSvg(maps: readonly HeatMap[]): string {
  const width = LABEL + CELL * Math.max(1, ...maps.map(({ columns }) => columns.length)) + GAP
  const heights = maps.map(({ rows }) => HEAD + CELL * rows.length + GAP)
  const parts = maps.map((map, i) =>
    draw(
      map,
      heights.slice(0, i).reduce((sum, each) => sum + each, 0),
    ),
  )
  const height = heights.reduce((sum, each) => sum + each, 0)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function draw({ title, rows, columns, values }: HeatMap, top: number): string {
  const text = (x: number, y: number, words: string, more = ''): string =>
    `<text x="${x}" y="${top + y}" ${FONT}${more}>${escapeXml(printable(words))}</text>`
  return [
    text(8, 16, title, ' font-weight="bold"'),
    ...columns.map((name, i) => text(LABEL + CELL * (i + 0.5), 36, name, ' text-anchor="middle"')),
    ...rows.map((name, row) => text(LABEL - 6, HEAD + CELL * (row + 0.7), name, ' text-anchor="end"')),
    ...values.flatMap((line, row) =>
      line.map((value, i) => {
        const label = `${rows[row]}, ${columns[i]}: ${value === null ? 'none' : value.toFixed(3)}`
        const place = `x="${LABEL + CELL * i}" y="${top + HEAD + CELL * row}" width="${CELL - 1}" height="${CELL - 1}"`
        return `<rect ${place} fill="${fillOf(value)}"><title>${escapeXml(printable(label))}</title></rect>`
      }),
    ),
  ].join('\n')
}

/** From near white to a dark blue, evenly in lightness. */
function fillOf(value: number | null): string {
  if (value === null) return '#eee'
  const mix = (from: number, to: number): number => Math.round(from + (to - from) * clamp(value))
  return `rgb(${mix(240, 8)}, ${mix(244, 48)}, ${mix(250, 107)})`
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
