/** Pieces of Markdown. */

/** A table; cells are Markdown already. */
export function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Words as code, with commas between them. */
export function code(words) {
  return words.map((word) => `\`${word}\``).join(', ')
}
