/**
 * A text's vectors read from both ends by a long short-term memory each: what both have in mind after their last token.
 *
 *   (i, f, g, o) = W x_t + U h + b,   c ← σ(f) c + σ(i) tanh(g),   h ← σ(o) tanh(c)
 *
 * W [4H, E], U [4H, H], the rows in the order i, f, g, o; h and c are 0 before the first token. Hochreiter & Schmidhuber 1997; the same
 * numbers as `torch.nn.LSTM`, which has two biases that are added. The vectors themselves are given, so there is no way back to them.
 */
import type { Tensor } from '../../tensor/tensor.ts'
import { findArray, multiplyAt, type NamedArrays } from './traced-layers.ts'

/** What was read, and the way back to the slopes for the arrays. */
export interface TracedReading {
  /** From the first token to the last, then from the last to the first [2H]. */
  readonly value: Float64Array
  back(slopes: Float64Array, gradients: NamedArrays): void
}

const WAYS = ['forward', 'backward'] as const
type Way = (typeof WAYS)[number]

/** Shapes of its arrays. */
export function lstmShapes(width: number, hidden: number): Record<string, readonly number[]> {
  return Object.fromEntries(
    WAYS.flatMap((way): [string, readonly number[]][] => [
      [`${way} input`, [4 * hidden, width]],
      [`${way} state`, [4 * hidden, hidden]],
      [`${way} bias`, [4 * hidden]],
    ]),
  )
}

/** Reads vectors [T, E] both ways. */
export function readBothWays(arrays: NamedArrays, vectors: Tensor): TracedReading {
  const readings = WAYS.map((way) => readOneWay(arrays, way, vectors))
  const hidden = readings[0]?.value.length ?? 0
  return {
    value: Float64Array.from(readings.flatMap(({ value }) => [...value])),
    back: (slopes, gradients) => {
      readings.forEach((reading, i) => {
        reading.back(slopes.subarray(i * hidden, (i + 1) * hidden), gradients)
      })
    },
  }
}

/** What is kept of a step for the way back. */
interface Step {
  readonly x: Float64Array
  /** σ(i), σ(f), tanh(g), σ(o) [4H] */
  readonly gates: Float64Array
  /** h and c before it, tanh of c after it [H] */
  readonly stateBefore: Float64Array
  readonly cellBefore: Float64Array
  readonly cellSquashed: Float64Array
}

function readOneWay(arrays: NamedArrays, way: Way, { data, shape: [length = 0, width = 0] }: Tensor): TracedReading {
  const [input, recurrent, bias] = arraysOf(arrays, way)
  const hidden = bias.length / 4
  const steps: Step[] = []
  let state = new Float64Array(hidden)
  let cell = new Float64Array(hidden)
  for (let t = 0; t < length; t++) {
    const row = way === 'forward' ? t : length - 1 - t
    const x = Float64Array.from(data.subarray(row * width, (row + 1) * width))
    const [stateBefore, cellBefore] = [state, cell]
    const gates = Float64Array.from(bias, (start, r) => {
      const sum = start + multiplyAt(input, r * width, x) + multiplyAt(recurrent, r * hidden, stateBefore)
      return r >= 2 * hidden && r < 3 * hidden ? Math.tanh(sum) : sigmoid(sum)
    })
    const gate = (kind: number, j: number) => gates[kind * hidden + j] ?? 0
    cell = cellBefore.map((value, j) => gate(1, j) * value + gate(0, j) * gate(2, j))
    const cellSquashed = cell.map(Math.tanh)
    state = cellSquashed.map((value, j) => gate(3, j) * value)
    steps.push({ x, gates, stateBefore, cellBefore, cellSquashed })
  }
  return {
    value: state,
    back: (slopes, gradients) => goBack({ recurrent, hidden }, steps, slopes, arraysOf(gradients, way)),
  }
}

/** Through the steps from the last to the first, adding to the slopes for the arrays. */
function goBack(
  { recurrent, hidden }: { readonly recurrent: Float32Array; readonly hidden: number },
  steps: readonly Step[],
  slopes: Float64Array,
  [ofInput, ofRecurrent, ofBias]: readonly [Float32Array, Float32Array, Float32Array],
): void {
  let ofState = Float64Array.from(slopes)
  let ofCell = new Float64Array(hidden)
  for (const { x, gates, stateBefore, cellBefore, cellSquashed } of [...steps].reverse()) {
    const ofSums = new Float64Array(4 * hidden) // slopes for i, f, g, o
    const ofCellBefore = new Float64Array(hidden)
    for (let j = 0; j < hidden; j++) {
      const [i, f] = [gates[j] ?? 0, gates[hidden + j] ?? 0]
      const [g, o] = [gates[2 * hidden + j] ?? 0, gates[3 * hidden + j] ?? 0]
      const squashed = cellSquashed[j] ?? 0
      const slope = ofState[j] ?? 0
      const through = (ofCell[j] ?? 0) + slope * o * (1 - squashed ** 2)
      ofSums[j] = through * g * i * (1 - i)
      ofSums[hidden + j] = through * (cellBefore[j] ?? 0) * f * (1 - f)
      ofSums[2 * hidden + j] = through * i * (1 - g ** 2)
      ofSums[3 * hidden + j] = slope * squashed * o * (1 - o)
      ofCellBefore[j] = through * f
    }
    ofState = new Float64Array(hidden)
    for (let r = 0; r < ofSums.length; r++) {
      const slope = ofSums[r] ?? 0
      ofBias[r] = (ofBias[r] ?? 0) + slope
      addAt(ofInput, r * x.length, x, slope)
      addAt(ofRecurrent, r * hidden, stateBefore, slope)
      for (let j = 0; j < hidden; j++) ofState[j] = (ofState[j] ?? 0) + slope * (recurrent[r * hidden + j] ?? 0)
    }
    ofCell = ofCellBefore
  }
}

function arraysOf(arrays: NamedArrays, way: Way): readonly [Float32Array, Float32Array, Float32Array] {
  return [findArray(arrays, `${way} input`), findArray(arrays, `${way} state`), findArray(arrays, `${way} bias`)]
}

function addAt(sums: Float32Array, start: number, x: Float64Array, factor: number): void {
  for (let j = 0; j < x.length; j++) sums[start + j] = (sums[start + j] ?? 0) + factor * (x[j] ?? 0)
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x))
}
