/** Writing facts in the product's own format: to a file, or to standard output where none is named. */
import { access } from 'node:fs/promises'
import { writeWhole } from '../../disk.ts'
import { WhicheditError } from '../../errors.ts'
import type { Fact } from '../../facts/fact.ts'
import { printable } from '../../printable.ts'

/** Control characters, signs that reorder or hide text, and line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Facts as JSON Lines, which `readFacts` takes back as they were. What a terminal would obey stands in it as escapes of JSON. */
export function formatFacts(facts: readonly Fact[]): string {
  return facts.map((fact) => `${JSON.stringify(fact).replaceAll(UNSAFE, escapeUnits)}\n`).join('')
}

function escapeUnits(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}

/** Writes facts to a file. @throws E_FACTS_EXISTS, E_DISK_FULL, E_NOT_WRITABLE */
export async function writeFacts(file: string, facts: readonly Fact[], force: boolean): Promise<void> {
  const exists = await access(file).then(
    () => true,
    () => false,
  )
  if (exists && !force) throw new WhicheditError('E_FACTS_EXISTS', { file: printable(file) })
  await writeWhole(file, formatFacts(facts))
}
