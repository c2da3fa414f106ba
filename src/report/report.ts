/** What every form of a report is: a function from a ranking to text. */
import type { Ranking } from '../scoring/ranking.ts'

/** What the place where the text goes can show. */
export interface ReportOptions {
  /** Whether escape sequences for colour and weight are understood. Nothing is said by colour alone. */
  readonly color: boolean
  /** Width in characters. */
  readonly columns: number
  /** False: only ASCII. */
  readonly unicode: boolean
}

/** Writes a ranking as text. */
export type Report = (ranking: Ranking, options: ReportOptions) => string
