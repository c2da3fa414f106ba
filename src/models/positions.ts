/**
 * What graphs are fed about positions: where each token stands, angles of rotary embeddings, buckets of distances, and
 * masks of who attends to whom.
 */
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor, zeros } from '../tensor/tensor.ts'
import type { AttentionForm, RelativeBuckets, Rotary } from './architecture.ts'

/** What a masked score is set to: far below any real score, yet finite, so that a row without keys gives no NaN. */
const MASKED = -1e30

/** The rotary embeddings that a network's layers use, each once: a graph's inputs are numbered by them. */
export function rotariesOf(forms: readonly AttentionForm[]): readonly Rotary[] {
  return [...new Set(forms.flatMap(({ rotary }) => rotary ?? []))]
}

/** The windows that a network's layers have, each once; null for all positions. */
export function windowsOf(forms: readonly AttentionForm[]): readonly (number | null)[] {
  return [...new Set(forms.map(({ window }) => window))]
}

/** The positions of T tokens a row, rows starting at `from` [rows·T]. */
export function tokenPositions(from: readonly number[], T: number): Tensor<'int64'> {
  const data = new BigInt64Array(from.length * T)
  from.forEach((start, row) => {
    for (let t = 0; t < T; t++) data[row * T + t] = BigInt(start + t)
  })
  return { dtype: 'int64', shape: [data.length], data }
}

/** Equal shares of 1 for the tokens of each row, none for the padding to T [B, T]. */
export function equalShares(rows: readonly ArrayLike<number>[], T: number): Tensor {
  const shares = zeros([rows.length, T])
  for (const [row, { length }] of rows.entries()) shares.data.fill(1 / length, row * T, row * T + length)
  return shares
}

/**
 * Angles for rows of positions that start at `from`: cos and sin [rows, T, 1, w] for each rotary embedding, the sine
 * negative for the first column of a pair.
 */
export function angleFeeds(
  forms: readonly AttentionForm[],
  from: readonly number[],
  T: number,
): Record<string, AnyTensor> {
  const feeds: Record<string, AnyTensor> = {}
  rotariesOf(forms).forEach(({ width: w, pairs, frequencies, magnitude }, i) => {
    const cos = new Float32Array(from.length * T * w)
    const sin = new Float32Array(from.length * T * w)
    const [step, second] = pairs === 'halves' ? [1, w / 2] : [2, 1]
    from.forEach((start, row) => {
      for (let t = 0; t < T; t++) {
        frequencies.forEach((frequency, j) => {
          const angle = (start + t) * frequency
          const at = (row * T + t) * w + j * step
          cos[at] = cos[at + second] = Math.cos(angle) * magnitude
          sin[at + second] = Math.sin(angle) * magnitude
          sin[at] = -(sin[at + second] ?? 0)
        })
      }
    })
    const size = [from.length, T, 1, w]
    feeds[`cos ${i}`] = tensor(cos, size)
    feeds[`sin ${i}`] = tensor(sin, size)
  })
  return feeds
}

/** The same angles as tables by position [P, w/2], without signs, for the fused attention. */
export function angleTables(forms: readonly AttentionForm[], positions: number): Record<string, AnyTensor> {
  const feeds: Record<string, AnyTensor> = {}
  rotariesOf(forms).forEach(({ frequencies, magnitude }, i) => {
    const half = frequencies.length
    const cos = new Float32Array(positions * half)
    const sin = new Float32Array(positions * half)
    for (let p = 0; p < positions; p++) {
      frequencies.forEach((frequency, j) => {
        cos[p * half + j] = Math.cos(p * frequency) * magnitude
        sin[p * half + j] = Math.sin(p * frequency) * magnitude
      })
    }
    feeds[`cos ${i}`] = tensor(cos, [positions, half])
    feeds[`sin ${i}`] = tensor(sin, [positions, half])
  })
  return feeds
}

/** The causal mask among T positions of a row, of which each sees `window`: 0 or {@link MASKED} [1, 1, 1, T, T]. */
export function causalMask(T: number, window: number | null): Tensor {
  return windowMask({ past: [0], P: 0, T, window })
}

/** The places of a mask. */
export interface MaskPlaces {
  /** Earlier positions that each row has. */
  readonly past: readonly number[]
  /** Places for them: as many as the row with most has. */
  readonly P: number
  /** New positions. */
  readonly T: number
  /** All places; after the P, all rows have all. Default: P + T. */
  readonly S?: number
  /** Positions seen, the own among them; null: all. */
  readonly window: number | null
}

/**
 * The mask of T new positions over S places: the first P hold earlier positions, of which row b has only `past[b]`; then
 * come places that all rows have, the last T of them new. [B, 1, 1, T, S]
 */
export function windowMask({ past, P, T, S = P + T, window }: MaskPlaces): Tensor {
  const mask = new Float32Array(past.length * T * S)
  past.forEach((kept, row) => {
    for (let t = 0; t < T; t++) {
      const at = (row * T + t) * S
      mask.fill(MASKED, at + kept, at + P)
      mask.fill(MASKED, at + S - T + t + 1, at + S)
      if (window === null) continue
      // Positions up to this one are too far back; the row's own earlier ones end at `kept`, the others follow them.
      const tooFar = kept + S - P - T + t + 1 - window
      mask.fill(MASKED, at, at + Math.min(Math.max(tooFar, 0), kept))
      if (tooFar > kept) mask.fill(MASKED, at + P, at + P + tooFar - kept)
    }
  })
  return tensor(mask, [past.length, 1, 1, T, S])
}

/** The mask over an encoder's input: each row sees its own tokens, its padding is hidden [B, 1, 1, 1, I]. */
export function inputMask(lengths: readonly number[]): Tensor {
  const I = Math.max(...lengths)
  const mask = new Float32Array(lengths.length * I)
  lengths.forEach((length, row) => {
    mask.fill(MASKED, row * I + length, (row + 1) * I)
  })
  return tensor(mask, [lengths.length, 1, 1, 1, I])
}

/**
 * Buckets of the distances from T queries, the first at `start`, to S keys [T, S]. Near distances have a bucket each, far
 * ones share buckets that grow by powers, as in T5's code (Raffel et al. 2020, §2.1); `bothWays`: keys after the query
 * have buckets of their own.
 */
export function bucketFeed(
  { count, farthest }: RelativeBuckets,
  { start, T, S, bothWays }: { start: number; T: number; S: number; bothWays: boolean },
): Tensor<'int64'> {
  const size = bothWays ? count / 2 : count
  const exact = Math.floor(size / 2)
  // Rounded at every step as float32 arithmetic does: a distance on a bucket's edge falls where the reference puts it.
  const { fround } = Math
  const bucketOf = (distance: number): number => {
    if (distance < exact) return distance
    const growth = fround(fround(Math.log(fround(distance / exact))) / fround(Math.log(farthest / exact)))
    return Math.min(exact + Math.floor(fround(growth * (size - exact))), size - 1)
  }
  const data = new BigInt64Array(T * S)
  for (let t = 0; t < T; t++) {
    for (let s = 0; s < S; s++) {
      const ahead = s - (start + t)
      const offset = bothWays && ahead > 0 ? size : 0
      data[t * S + s] = BigInt(offset + bucketOf(bothWays ? Math.abs(ahead) : Math.max(-ahead, 0)))
    }
  }
  return { dtype: 'int64', shape: [T, S], data }
}
