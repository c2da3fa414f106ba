/** How layers that were tried are shown. */
import type { Sites } from '../../editors/hparams.ts'
import type { TracedLayers } from '../../evidence/proposed-layers.ts'
import type { FoundSites, TriedSites } from '../../evidence/sites.ts'
import { printable } from '../../printable.ts'

/** `layer 5`, `layers 4–8`. */
export function describeSites(sites: Sites): string {
  const layers = Object.values(sites)
  const [first, last] = [Math.min(...layers), Math.max(...layers)]
  return first === last ? `layer ${first}` : `layers ${first}–${last}`
}

const ORIGINS: Readonly<Record<TriedSites['origin'], string>> = {
  published: 'published',
  traced: 'traced',
  near: 'next to these',
}

/** Rows of a table of candidates, in the order of their layers; the one that was chosen is marked. Rates are from 0 to 100. */
export function sitesTable({ candidates, sites }: Pick<FoundSites, 'candidates' | 'sites'>): string[][] {
  const chosen = describeSites(sites)
  const rows = candidates
    .toSorted((a, b) => Math.min(...Object.values(a.sites)) - Math.min(...Object.values(b.sites)))
    .map((one) => {
      const { reliability, generalization, locality } = one.rates
      const name = describeSites(one.sites)
      return [
        name,
        ORIGINS[one.origin],
        ...[reliability, generalization, locality, one.mean].map(formatRate),
        one.editS === null ? '' : `${one.editS.toFixed(1)} s`,
        one.failures === 0 ? '' : String(one.failures),
        name === chosen ? 'chosen' : '',
      ]
    })
  return [['LAYERS', 'FROM', 'RELIABILITY', 'GENERALIZATION', 'LOCALITY', 'MEAN', 'EDIT', 'FAILED', ''], ...rows]
}

/** `1 fact`, `8 facts`. */
export function countFacts(count: number): string {
  return count === 1 ? '1 fact' : `${count} facts`
}

/** What tracing proposes, as a sentence. */
export function describeTraced({ facts, peak, range }: TracedLayers): string {
  const [first, last] = range
  const near = first === last ? '' : `, with half of it or more from layer ${first} to ${last}`
  return `Tracing ${countFacts(facts)} proposes layer ${peak}${near}.`
}

/** A line for each candidate that failed somewhere, with the first reason. */
export function failureLines({ candidates }: Pick<FoundSites, 'candidates'>): string[] {
  return candidates.flatMap(({ sites, reason }) =>
    reason === undefined ? [] : [`${describeSites(sites)} failed: ${printable(reason)}`],
  )
}

function formatRate(rate: number | null): string {
  return rate === null ? '–' : (100 * rate).toFixed(0)
}
