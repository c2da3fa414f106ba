/** Numbers and tables of the model's card. */

export function percent(value) {
  return value === undefined || Number.isNaN(value) ? '' : (100 * value).toFixed(1)
}

/** A Markdown table; every column but the first holds numbers. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), `|---|${'--:|'.repeat(head.length - 1)}`, ...rows.map(line)].join('\n')
}
