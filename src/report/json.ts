/** A ranking as a JSON document: everything that is known, for programs. */
import type { Ranking } from '../scoring/ranking.ts'

/** Writes a ranking as JSON. */
export function renderJson(ranking: Ranking): string {
  return `${JSON.stringify(ranking, null, 2)}\n`
}
