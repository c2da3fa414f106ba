/**
 * Summaries of samples. An empty sample has none, and a NaN in one would spoil it silently: both are refused.
 */
import { mean as sampleMean, sampleVariance } from 'simple-statistics'
import { WhicheditError } from '../errors.ts'

/** The arithmetic mean. @throws E_INTERNAL for an empty sample or a NaN in it. */
export function mean(values: readonly number[]): number {
  checkSample('mean', values, 1)
  return sampleMean([...values])
}

/** The standard error of the mean, s/√n with s² over n − 1. @throws E_INTERNAL for fewer than two values or a NaN. */
export function standardError(values: readonly number[]): number {
  checkSample('standardError', values, 2)
  return Math.sqrt(sampleVariance([...values]) / values.length)
}

/**
 * The quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan 1996; numpy's default).
 * @throws E_INTERNAL for an empty sample, a NaN in it, or a probability outside [0, 1].
 */
export function quantile(values: readonly number[], probability: number): number {
  checkSample('quantile', values, 1)
  if (!(probability >= 0 && probability <= 1)) {
    throw new WhicheditError('E_INTERNAL', { what: `quantile: expected a probability, found ${probability}` })
  }
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * probability
  const low = sorted[Math.floor(place)] ?? Number.NaN
  const high = sorted[Math.ceil(place)] ?? Number.NaN
  // Equal ends also keep infinite values from making a NaN.
  return low === high ? low : low + (place - Math.floor(place)) * (high - low)
}

/** The middle value, or the mean of the two middle values. @throws E_INTERNAL for an empty sample or a NaN in it. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

function checkSample(name: string, values: readonly number[], least: number): void {
  if (values.length < least) {
    throw new WhicheditError('E_INTERNAL', {
      what: `${name}: expected at least ${least} values, found ${values.length}`,
    })
  }
  if (values.some(Number.isNaN)) throw new WhicheditError('E_INTERNAL', { what: `${name}: found NaN in the sample` })
}
