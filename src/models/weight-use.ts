/**
 * Whether a checkpoint's weights are used as they are stored or converted to 32 bits first. The one place where that is
 * decided, from sizes and a limit of memory alone. The numbers computed are the same: widening 16 bits is exact.
 *
 * 32 bits are the rule because they are faster: the runtime has no products of 16-bit weights here and widens them for each use
 * (measured on SmolLM2 135M, processor time: 5 % to 75 % more for a forward pass, by how few tokens it is over). 16 bits take half the
 * memory and no disk.
 */
import type { WeightFormat } from '../graph/graph.ts'

/** How weights are used. */
export interface WeightUse {
  /** Sessions map the original files. Else they are converted, once. */
  readonly isAsStored: boolean
  /** The format that most numbers are used in. */
  readonly usedAs: WeightFormat
  /** Why they stay in 16 bits; null where they do not. */
  readonly because: string | null
}

/** Numbers of one format. */
export interface FormatCount {
  readonly format: string
  readonly count: number
}

/** Weights may take so much of the memory; the rest is for the work. */
const SHARE_OF_WEIGHTS = 1 / 2
const FLOAT_BYTES = 4
const MAPPABLE: readonly WeightFormat[] = ['F32', 'F16', 'BF16']

/** Decides for a checkpoint by what its files hold. @param memoryBytes what may be used; infinite where nobody asks for less */
export function chooseWeightUse(counts: readonly FormatCount[], memoryBytes: number): WeightUse {
  const main = toWeightFormat(mainFormat(counts))
  if (counts.every(({ format }) => format === 'F32')) return { isAsStored: true, usedAs: 'F32', because: null }
  const bytes = counts.reduce((sum, { count }) => sum + count * FLOAT_BYTES, 0)
  const isMappable = counts.every(({ format }) => toWeightFormat(format) !== undefined)
  if (!isMappable || main === undefined || bytes <= memoryBytes * SHARE_OF_WEIGHTS) {
    return { isAsStored: false, usedAs: 'F32', because: null }
  }
  const because = `as F32 they would be ${gibibytes(bytes)} of ${gibibytes(memoryBytes)}`
  return { isAsStored: true, usedAs: main, because }
}

/** The format that holds most of a model's numbers. */
export function mainFormat(counts: readonly FormatCount[]): string {
  const sums = new Map<string, number>()
  for (const { format, count } of counts) sums.set(format, (sums.get(format) ?? 0) + count)
  return [...sums].reduce((most, next) => (next[1] > most[1] ? next : most), ['F32', 0])[0]
}

/** A format that sessions can map; undefined for others. */
export function toWeightFormat(format: string): WeightFormat | undefined {
  return MAPPABLE.find((known) => known === format)
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`
}
