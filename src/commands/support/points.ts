/**
 * Points shared out over a few rows: 100 in all, never more. Pure: the prompt shows a state and turns keys into the next.
 */

/** The points there are. */
export const TOTAL_POINTS = 100

/** Points on rows, the row chosen, and the digits typed on it so far. */
export interface PointsState {
  readonly points: readonly number[]
  readonly row: number
  readonly typed: string
}

/** Points not given yet; never below 0. */
export function pointsLeft({ points }: PointsState): number {
  return TOTAL_POINTS - sum(points)
}

/** Chooses another row; past the ends it goes round. */
export function moveRow(state: PointsState, by: number): PointsState {
  const rows = state.points.length
  return { ...state, row: (state.row + by + rows) % rows, typed: '' }
}

/** Gives the chosen row more or fewer points: at least 0, at most what is left. */
export function addPoints(state: PointsState, by: number): PointsState {
  return { ...setChosen(state, chosen(state) + by), typed: '' }
}

/** A digit typed on the chosen row; digits add up to a number until another key comes. */
export function typeDigit(state: PointsState, digit: string): PointsState {
  const typed = `${state.typed}${digit}`.slice(-String(TOTAL_POINTS).length)
  return { ...setChosen(state, Number(typed)), typed }
}

/** Takes the last digit back. */
export function eraseDigit(state: PointsState): PointsState {
  const typed = (state.typed === '' ? String(chosen(state)) : state.typed).slice(0, -1)
  return { ...setChosen(state, Number(typed)), typed }
}

/** Gives what is left to the rows in proportion to what they have; to all alike where none has any. */
export function fillPoints(state: PointsState): PointsState {
  return { ...state, points: toPoints(sum(state.points) === 0 ? state.points.map(() => 1) : state.points), typed: '' }
}

/** The same points for each row. */
export function equalPoints(state: PointsState): PointsState {
  return { ...state, points: toPoints(state.points.map(() => 1)), typed: '' }
}

/**
 * Whole points in proportion to weights, 100 in all: each gets the whole part of its share, what is left goes one by one
 * to the largest remainders (Hamilton's method).
 */
export function toPoints(weights: readonly number[]): number[] {
  const total = sum(weights)
  const shares = weights.map((weight) => (weight / total) * TOTAL_POINTS)
  const points = shares.map(Math.floor)
  const byRemainder = shares.map((share, i) => ({ i, rest: share - Math.floor(share) })).sort((a, b) => b.rest - a.rest)
  for (const { i } of byRemainder.slice(0, TOTAL_POINTS - sum(points))) points[i] = (points[i] ?? 0) + 1
  return points
}

/**
 * Points for an order alone, most important first: rank order centroid, the mean of all weights in that order,
 * w_r = (1/K) Σ_{i=r..K} 1/i (Barron and Barrett 1996).
 */
export function centroidPoints(count: number): number[] {
  const weights = Array.from({ length: count }, (_, r) => {
    const terms = Array.from({ length: count - r }, (_, i) => 1 / (r + i + 1))
    return sum(terms) / count
  })
  return toPoints(weights)
}

function chosen({ points, row }: PointsState): number {
  return points[row] ?? 0
}

function setChosen(state: PointsState, wanted: number): PointsState {
  const most = chosen(state) + pointsLeft(state)
  const value = Math.min(Math.max(wanted, 0), most)
  return { ...state, points: state.points.map((points, row) => (row === state.row ? value : points)) }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
