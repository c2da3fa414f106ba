/**
 * The state that a run leaves behind for others to go on from: a layer's cut with the input of its feed-forward, and the
 * keys and values above it of the positions before those kept, with what those say to side memories.
 */
import { WhicheditError } from '../errors.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Network } from './architecture.ts'
import { pastName } from './attention.ts'
import type { Capture, RunRequest, TokenBatch } from './model.ts'
import { sumBefore } from './side-memories.ts'
import { type CapturedState, placeFeeds, type Window } from './window.ts'

/** What a capturing run's graph calls the lengths of what side memories of a layer answer at each position [B, T, n]. */
export function memoryName(layer: number): string {
  return `memory lengths ${layer}`
}

/** Makes the capture of a fresh run from what its graph gave. What lies before is attended to, in an encoder both ways: there all is kept. */
export function makeCapture(
  network: Network,
  request: RunRequest,
  window: Window,
  outputs: Readonly<Record<string, AnyTensor>>,
): Capture | undefined {
  const { config } = network
  const { tokens, capture } = request
  if (capture === undefined) return undefined
  const { layer } = capture
  const asked = capture.from ?? tokens.rows.map(() => 0)
  if (config.encoderLayers > 0) {
    const { residual, inner, 'mlp-input': mlpInput, encoded } = outputs
    const feeds = { ...window.feeds, ...definedOf({ residual, inner, 'mlp-input': mlpInput, encoded }) }
    return { layer, from: tokens.rows.map(() => 0), state: { feeds, activations: new Map() } satisfies CapturedState }
  }
  const fullT = windowLength(
    tokens,
    tokens.rows.map(() => 0),
  )
  const T = windowLength(tokens, asked)
  const P = Math.max(...asked)
  const part = (name: string) => sliceRows(floats(outputs[name]), asked, fullT, T)
  const feeds: Record<string, AnyTensor> = {
    residual: part('residual'),
    inner: part('inner'),
    'mlp-input': part('mlp-input'),
    ...placeFeeds(network, asked, T, P),
  }
  for (let above = layer + 1; P > 0 && above < config.layers; above++) {
    feeds[pastName('keys', above)] = slicePast(floats(outputs[`keys ${above}`]), asked, P)
    feeds[pastName('values', above)] = slicePast(floats(outputs[`values ${above}`]), asked, P)
  }
  const prompts = tokens.rows.map((row, i) => tokens.promptLengths?.[i] ?? row.length)
  const activations = new Map<number, Tensor>()
  for (let at = layer; P > 0 && at < config.layers; at++) {
    const lengths = outputs[memoryName(at)]
    if (lengths !== undefined) activations.set(at, sumBefore(floats(lengths), asked, prompts))
  }
  return { layer, from: asked, state: { feeds, activations } satisfies CapturedState }
}

function definedOf(values: Readonly<Record<string, AnyTensor | undefined>>): Record<string, AnyTensor> {
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value ? [[name, value]] : [])))
}

function windowLength(tokens: TokenBatch, from: readonly number[]): number {
  return Math.max(...tokens.rows.map((row, i) => row.length - (from[i] ?? 0)))
}

// [B·fullT, W] → [B·T, W], row b from position from[b] on; what lies beyond a row's end is padding.
function sliceRows(source: Tensor, from: readonly number[], fullT: number, T: number): Tensor {
  const width = source.shape.at(-1) ?? 0
  const data = new Float32Array(from.length * T * width)
  from.forEach((first, row) => {
    const start = (row * fullT + first) * width
    const kept = Math.min(T, fullT - first) * width
    data.set(source.data.subarray(start, start + kept), row * T * width)
  })
  return tensor(data, [from.length * T, width])
}

// [B, KV, T, E] → [B, KV, P, E]: the first from[b] positions of each row, the rest masked.
function slicePast(source: Tensor, from: readonly number[], P: number): Tensor {
  const [, KV = 0, T = 0, E = 0] = source.shape
  const data = new Float32Array(from.length * KV * P * E)
  from.forEach((kept, row) => {
    for (let head = 0; head < KV; head++) {
      const start = (row * KV + head) * T * E
      data.set(source.data.subarray(start, start + kept * E), (row * KV + head) * P * E)
    }
  })
  return tensor(data, [from.length, KV, P, E])
}

function floats(value: AnyTensor | undefined): Tensor {
  if (value?.dtype !== 'float32') throw new WhicheditError('E_INTERNAL', { what: 'a captured activation is missing' })
  return value
}
