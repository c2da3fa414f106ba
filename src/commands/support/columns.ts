/** Rows in aligned columns; the last column is wrapped to the width at hand, and very narrow terminals get stacked rows. */
import stringWidth from 'string-width'

/** Below this a table is unreadable: each row becomes lines of its own. */
const MIN_COLUMNS = 60
const GAP = 2

/** Lays out rows of cells as lines. Cells are plain text, `printable` already. */
export function formatColumns(rows: readonly (readonly string[])[], columns: number): string {
  if (columns < MIN_COLUMNS) return rows.map((row) => row.filter((cell) => cell !== '').join('\n  ')).join('\n')
  const widths = columnWidths(rows)
  const indent = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP, 0)
  return rows.map((row) => formatRow(row, widths, indent, columns)).join('\n')
}

function columnWidths(rows: readonly (readonly string[])[]): number[] {
  const count = Math.max(0, ...rows.map((row) => row.length))
  return Array.from({ length: count }, (_, i) => Math.max(...rows.map((row) => stringWidth(row[i] ?? ''))))
}

function formatRow(row: readonly string[], widths: readonly number[], indent: number, columns: number): string {
  const head = row.slice(0, -1).map((cell, i) => cell + ' '.repeat((widths[i] ?? 0) - stringWidth(cell) + GAP))
  const [first = '', ...rest] = wrap(row.at(-1) ?? '', Math.max(columns - indent, MIN_COLUMNS / 3))
  return [head.join('') + first, ...rest.map((line) => ' '.repeat(indent) + line)].join('\n').trimEnd()
}

/** Breaks text at spaces into lines of at most `width`; a longer word stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && stringWidth(last) + 1 + stringWidth(word) <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
