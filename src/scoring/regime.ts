/**
 * Which regime of the evidence fits the workload: `single`, `batch-100`, `stream-10#2`. Where the wanted kind was not measured the
 * nearest there is is taken, and that is said: what holds for one edit need not hold for a thousand.
 */
import type { Workload } from './profile.ts'

interface Regime {
  readonly name: string
  readonly kind: string
  /** Edits on the model at once; 1 for `single`. */
  readonly edits: number
}

/** Beyond this many times the edits that were measured, a result is called extrapolated (collapse is abrupt: Gupta et al. 2024). */
const EXTRAPOLATION = 4

/** Picks the regime to score by, with a sentence where it is not what the workload asks for. */
export function chooseRegime(
  names: readonly string[],
  { arrival, edits }: Pick<Workload, 'arrival' | 'edits'>,
): { regime: string; note: string | null } {
  const regimes = [...new Set(names)].sort().map(parseRegime)
  const wanted = arrival === 'single' ? 1 : edits
  const distance = (regime: Regime): number =>
    (regime.kind === arrival ? 0 : 1e6) + Math.abs(Math.log(regime.edits / wanted))
  const [best] = regimes.sort((a, b) => distance(a) - distance(b))
  if (best === undefined) return { regime: 'single', note: null }
  const isFar = best.kind !== arrival || wanted > EXTRAPOLATION * best.edits
  const asked = arrival === 'single' ? 'single edits' : `a ${arrival} of ${edits}`
  const note = `The workload is ${asked}; the evidence is of ${best.name} edits. Scores are extrapolated and probably too high.`
  return { regime: best.name, note: isFar && asked !== best.name ? note : null }
}

function parseRegime(name: string): Regime {
  const match = /^([a-z]+)(?:-(\d+))?(?:#\d+)?$/.exec(name)
  return { name, kind: match?.[1] ?? name, edits: Math.max(1, Number(match?.[2] ?? 1)) }
}
