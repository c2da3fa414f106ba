/** A ranking in sentences: who leads, by how much and why, how sure that is, what would change it, what is out. */
import { printable } from '../printable.ts'
import type { Lead } from '../scoring/lead.ts'
import { bestMethod, type RankedMethod, type Ranking } from '../scoring/ranking.ts'

/** Below this many points two scores are shown as level. */
const LEVEL = 0.05

/**
 * Tells a ranking: `ROME leads GRACE by 4.2 (+6.1 generalization, −2.9 locality). 83 % likely best on this evidence. …`,
 * one statement an item.
 */
export function explainRanking(ranking: Ranking): string[] {
  const ranked = ranking.ranking.filter(({ rank }) => rank !== null)
  const [first] = ranked
  if (first === undefined || bestMethod(ranking) === undefined)
    return ['No method qualifies.', ...explainRuledOut(ranking)]
  const head =
    ranking.lead === null ? `${nameOf(first)} is the only method that qualifies.` : explainLead(ranking.lead, ranked)
  return [head, explainCertainty(first, ranked), ...explainFlip(ranking.lead), ...explainRuledOut(ranking)]
}

/** `+6.1`, `−2.9`. */
export function formatSigned(points: number): string {
  return `${points < 0 ? '−' : '+'}${Math.abs(points).toFixed(1)}`
}

/** A probability in whole per cents that never claims certainty: `> 99 %`, `< 1 %`. */
export function formatProbability(share: number): string {
  const percent = Math.round(100 * share)
  if (percent >= 100) return '> 99 %'
  return percent < 1 ? '< 1 %' : `${percent} %`
}

/** A method as people call it, harmless to print. */
export function nameOf({ title }: Pick<RankedMethod, 'title'>): string {
  return printable(title)
}

function explainLead(lead: Lead, ranked: readonly RankedMethod[]): string {
  const [first, second] = [lead.first, lead.second].map((name) => {
    const method = ranked.find((candidate) => candidate.method === name)
    return method === undefined ? printable(name) : nameOf(method)
  })
  const parts = lead.parts
    .filter(({ points }) => Math.abs(points) >= LEVEL)
    .map(({ of, points }) => `${formatSigned(points)} ${of}`)
  const why = parts.length === 0 ? '' : ` (${parts.join(', ')})`
  if (lead.gap < LEVEL) return `${first} and ${second} are level${why}.`
  return `${first} leads ${second} by ${lead.gap.toFixed(1)}${why}.`
}

function explainCertainty(first: RankedMethod, ranked: readonly RankedMethod[]): string {
  const tied = ranked.filter(({ tie, method }) => tie && method !== first.method)
  const sure = `${formatProbability(first.pBest ?? 0)} likely best on this evidence`
  if (tied.length === 0) return `${sure}.`
  return `${sure}, not to be told apart from ${tied.map(nameOf).join(', ')}.`
}

function explainFlip(lead: Lead | null): string[] {
  if (lead?.flip == null || lead.gap < LEVEL) return []
  const { points, from, to } = lead.flip
  const amount = points < 0.95 ? 'Less than a point' : `${Math.ceil(points)} point${Math.ceil(points) === 1 ? '' : 's'}`
  return [`${amount} of weight moved from ${joinWords(from)} to ${to} would draw them level.`]
}

function joinWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

function explainRuledOut({ ranking }: Ranking): string[] {
  const out = ranking.flatMap((method) =>
    method.ruledOut === undefined ? [] : [`${nameOf(method)} (${method.ruledOut.map(printable).join('; ')})`],
  )
  return out.length === 0 ? [] : [`Ruled out: ${out.join(', ')}.`]
}
