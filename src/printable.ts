/**
 * Makes text from models, data files and the network harmless for a terminal: whatever could move the cursor, ring,
 * recolour or reorder the line is written as an escape instead.
 */

// C0 and DEL, C1, bidirectional marks, overrides and isolates, line and paragraph separators, invisible joiners and
// byte-order mark, lone surrogates.
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the purpose
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Cs}/gu

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escapeUnsafe(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return SHORT[character] ?? (code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`)
}

/** Text as one harmless line: line ends and tabs are escaped too. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeUnsafe)
}

/** Text as harmless lines: line feeds stay, everything else is as in {@link printable}. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}
