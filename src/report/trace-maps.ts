/** Causal traces as heat maps, one for each kind of site, and in a sentence. */
import {
  type AverageTrace,
  proposeLayers,
  TOKEN_ROLES,
  TRACED_SITES,
  type Trace,
  type TracedSite,
} from '../editors/steps/causal-trace.ts'
import type { HeatMap } from './heat-map.ts'

const SITE_NAMES = {
  'block-output': 'residual stream after the layer',
  'mlp-output': 'feed-forward',
  'attention-output': 'attention',
} satisfies Record<TracedSite, string>

/** The maps of one fact: rows are its tokens, the subject's with a star. */
export function mapTrace({ tokens, subject: [first, last], clean, corrupted, restored }: Trace): HeatMap[] {
  // A token that begins a text or ends it has no text of its own.
  const nameOf = (token: string): string => (token === '' ? '(special)' : token.trim())
  const rows = tokens.map((token, i) => `${i >= first && i <= last ? '*' : ''}${nameOf(token)}`)
  return TRACED_SITES.map((site) => {
    const [layers = 0] = restored[site].shape
    const columns = Array.from({ length: layers }, (_, layer) => String(layer))
    const shareAt = (layer: number, token: number): number =>
      ((restored[site].data[layer * tokens.length + token] ?? corrupted) - corrupted) / (clean - corrupted)
    return { title: titleOf(site), rows, columns, values: tokens.map((_, t) => columns.map((_, l) => shareAt(l, t))) }
  })
}

/** The maps of an average: rows say where a token stands. */
export function mapAverage({ shares }: AverageTrace): HeatMap[] {
  return TRACED_SITES.map((site) => ({
    title: titleOf(site),
    rows: TOKEN_ROLES,
    columns: shares[site].map((_, layer) => String(layer)),
    values: TOKEN_ROLES.map((_, role) => shares[site].map((roles) => roles[role] ?? null)),
  }))
}

/** What an average says, with the layers it proposes. */
export function tellAverage(average: AverageTrace): string {
  const { facts, clean, corrupted } = average
  const { peak, range } = proposeLayers(average)
  const [first, last] = range
  const several = first === last ? '' : `, layers ${first} to ${last} at least half as much`
  const asked = facts === 1 ? '1 fact that the model knows' : `${facts} facts that the model knows`
  return `${asked}: ${percent(clean)} clean, ${percent(corrupted)} with noise. At the subject's last token the feed-forward brings back most at layer ${peak}${several}.`
}

/** What one trace says. */
export function tellTrace(prompt: string, answer: string, { clean, corrupted }: Trace): string {
  return `"${prompt}" → "${answer}": ${percent(clean)} clean, ${percent(corrupted)} with noise on the subject (*).`
}

const titleOf = (site: TracedSite): string => `${SITE_NAMES[site]} put back, by token and layer`

const percent = (value: number): string => `${(100 * value).toFixed(0)} %`
