/** A ranking in Markdown, for an issue, a notebook or a README. */
import { printable } from '../printable.ts'
import { CRITERION_NAMES } from '../scoring/criteria.ts'
import { formatDuration, formatSize } from '../scoring/quantity.ts'
import type { RankedMethod, Ranking } from '../scoring/ranking.ts'
import { formatInterval, formatRank, formatSource, formatWeight } from './cells.ts'
import { explainRanking, formatProbability } from './sentence.ts'

/** Writes a ranking as Markdown. */
export function renderMarkdown(ranking: Ranking): string {
  const head = ['rank', 'method', 'score', 'best', ...CRITERION_NAMES, 'edit', 'peak memory']
  const weights = ['', '', '', '', ...CRITERION_NAMES.map((name) => formatWeight(ranking.weights[name])), '', '']
  const rows = ranking.ranking.map(describeRow)
  const blocks = [
    `# ${escapeText(ranking.profile.title)}`,
    explainRanking(ranking).map(escapeText).join(' '),
    [head, head.map(() => '---'), weights, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n'),
    ranking.notes.map((note) => `- ${escapeText(note)}`).join('\n'),
    formatSource(ranking).map(escapeText).join('  \n'),
  ]
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`
}

function describeRow(method: RankedMethod): string[] {
  const { score, scoreLow, scoreHigh, pBest, criteria, cost, title } = method
  return [
    formatRank(method),
    escapeText(title),
    formatInterval({ value: score, low: scoreLow, high: scoreHigh }),
    pBest === null ? '' : escapeText(formatProbability(pBest)),
    ...CRITERION_NAMES.map((name) => formatInterval(criteria[name])),
    cost.editS === null ? '' : formatDuration(cost.editS),
    cost.peakBytes === null ? '' : formatSize(cost.peakBytes),
  ]
}

/** Text that Markdown shows as it stands: its own marks and HTML's are escaped. */
function escapeText(text: string): string {
  return printable(text).replace(/[\\`*_{}[\]<>#|~]/g, (mark) => `\\${mark}`)
}
