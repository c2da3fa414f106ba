/**
 * Which regime of the evidence fits the workload: `single`, `batch-100`, `stream-10#2`. Where the wanted kind was not measured the
 * nearest there is is taken, and that is said: what holds for one edit need not hold for a thousand.
 */
import { parseRegime, type Regime, SINGLE } from '../evidence/record.ts'
import type { Workload } from './profile.ts'

/** Beyond this many times the edits that were measured, a result is called extrapolated (collapse is abrupt: Gupta et al. 2024). */
const EXTRAPOLATION = 4

/** Any stream without SimIE is taken before one with it: the workload asks for the methods as they are. */
const WITH_SIMIE = 1e3
const OTHER_ARRIVAL = 1e6

/** Picks the regime to score by, and says what its evidence cannot tell about the workload. */
export function chooseRegime(
  names: readonly string[],
  { arrival, edits }: Pick<Workload, 'arrival' | 'edits'>,
): { regime: string; notes: string[] } {
  const regimes = [...new Set(names)].sort().flatMap((name) => parseRegime(name) ?? [])
  const wanted = arrival === SINGLE ? 1 : edits
  const distance = (regime: Regime): number =>
    (regime.arrival === arrival ? 0 : OTHER_ARRIVAL) +
    (regime.isSimIE ? WITH_SIMIE : 0) +
    Math.abs(Math.log(regime.edits / wanted))
  const [best] = regimes.sort((a, b) => distance(a) - distance(b))
  if (best === undefined) return { regime: SINGLE, notes: [] }
  const isFar = best.arrival !== arrival || wanted > EXTRAPOLATION * best.edits
  const asked = arrival === SINGLE ? 'single edits' : `a ${arrival} of ${edits}`
  const far = `The workload is ${asked}; the evidence is of ${best.name} edits. Scores are extrapolated and probably too high.`
  const shared = `The facts of a ${best.name} share one edited model: the intervals do not tell how another ${best.arrival} would do.`
  const kept = 'SimIE kept earlier edits of the stream: how methods do without it was not measured.'
  const notes = [...(isFar ? [far] : []), ...(best.arrival === SINGLE ? [] : [shared]), ...(best.isSimIE ? [kept] : [])]
  return { regime: best.name, notes }
}
