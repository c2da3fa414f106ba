/**
 * Networks that turn the gradient of an edit into the change of weights that makes it.
 *
 *   (ũᵢ, δ̃ᵢ) = g(norm(uᵢ, δᵢ)),   ΔW = α Σ ũᵢ δ̃ᵢᵀ
 *
 * (uᵢ, δᵢ) the rows of `gradient-rows.ts`; norm: less the mean, over the standard deviation, of all rows of weights of one shape that were
 * met in training; g the network of `residual-network.ts`, one for all weights of a shape, each weight a mode; α a number for each
 * weight. Mitchell et al. 2022, §3.1; eric-mitchell/mend `algs/mend.py` (`GradientTransform` with `combine` and `shared`).
 */
import { WhicheditError } from '../../errors.ts'
import type { Factors } from '../../models/patch.ts'
import type { Random } from '../../tensor/random.ts'
import { zeros } from '../../tensor/tensor.ts'
import type { EditGradient } from './gradient-rows.ts'
import type { EditedWeight } from './last-blocks.ts'
import {
  type NetworkArrays,
  type NetworkRows,
  type NetworkShape,
  type OpenNetwork,
  openNetwork,
  startNetwork,
} from './residual-network.ts'
import { addRows, type Moments, normalizeRows } from './running-moments.ts'

/** The network of the weights of one shape. */
export interface Group {
  readonly shape: NetworkShape
  /** Where among all the weights stand that it serves; a weight's place here is its mode. */
  readonly members: readonly number[]
  readonly arrays: NetworkArrays
  /** Moments of (u, δ): how many rows, their mean, their squares [1 + 2n]. */
  readonly moments: Float64Array
}

/** All networks, and α of each weight. */
export interface EditorNetworks {
  readonly weights: readonly EditedWeight[]
  readonly groups: readonly Group[]
  /** α */
  readonly rates: Float32Array
}

/** Rows (ũ, δ̃), or slopes for them: for each edit and each weight [·, in + out]. */
export type RowsByWeight = readonly (readonly Float32Array[])[]

/** What networks were given and what they made of it. */
export interface Transformed {
  /** Normalised. */
  readonly rows: RowsByWeight
  readonly made: RowsByWeight
}

const NO_ROWS: Float32Array = new Float32Array()

/** Networks as they start, one for each shape of weights: what they make of a gradient is the gradient, normalised. */
export function startNetworks(
  weights: readonly EditedWeight[],
  { rank, rateStart }: { readonly rank: number; readonly rateStart: number },
  random: Random,
): EditorNetworks {
  const shapes = [...new Set(weights.map(({ shape }) => shape.join('→')))]
  return {
    weights,
    groups: shapes.map((name) => {
      const members = weights.flatMap(({ shape }, i) => (shape.join('→') === name ? [i] : []))
      const width = (weights[members[0] ?? 0]?.shape ?? []).reduce((sum, size) => sum + size, 0)
      const shape = { width, rank: Math.min(rank, width), modes: members.length }
      return {
        shape,
        members,
        arrays: startNetwork(shape, random.stream(`network ${name}`)),
        moments: new Float64Array(1 + 2 * width),
      }
    }),
    rates: new Float32Array(weights.length).fill(rateStart),
  }
}

/** The networks of all groups, open: they own native memory. */
export interface OpenNetworks {
  readonly all: readonly OpenNetwork[]
  readonly close: () => Promise<void>
}

/** Opens the networks of all groups. */
export async function openNetworks({ groups }: EditorNetworks): Promise<OpenNetworks> {
  const all = await Promise.all(groups.map(({ shape }) => openNetwork(shape)))
  return { all, close: async () => void (await Promise.all(all.map((network) => network.close()))) }
}

/** For each edit and each weight its rows, normalised; while learning, the moments take in the rows of each before it is their turn. */
function normalizeGradients(
  { weights, groups }: EditorNetworks,
  gradients: readonly EditGradient[],
  moments: 'as they are' | 'taking in',
): Float32Array[][] {
  return gradients.map(({ rows }) =>
    weights.map((_, i) => {
      const own = rows[i] ?? new Float64Array()
      const group = groups.find(({ members }) => members.includes(i))
      if (group === undefined) return NO_ROWS
      if (moments === 'taking in') writeMoments(group.moments, addRows(readMoments(group.moments), own))
      return Float32Array.from(normalizeRows(readMoments(group.moments), own))
    }),
  )
}

function readMoments(array: Float64Array): Moments {
  const width = (array.length - 1) / 2
  return { count: array[0] ?? 0, mean: array.subarray(1, 1 + width), squares: array.subarray(1 + width) }
}

function writeMoments(array: Float64Array, { count, mean, squares }: Moments): void {
  array[0] = count
  array.set(mean, 1)
  array.set(squares, 1 + mean.length)
}

/** What a group's network is given: for each edit, in turn, the rows of its weights. */
function rowsOf({ members }: Group, rows: RowsByWeight): NetworkRows[] {
  return rows.flatMap((ofEdit) => members.map((weight, mode) => ({ mode, rows: ofEdit[weight] ?? NO_ROWS })))
}

/**
 * What the networks make of gradients. While learning, the moments take in the rows of each weight before they are normalised.
 */
export async function transformGradients(
  networks: EditorNetworks,
  open: OpenNetworks,
  gradients: readonly EditGradient[],
  moments: 'as they are' | 'taking in',
): Promise<Transformed> {
  const rows = normalizeGradients(networks, gradients, moments)
  const made = rows.map((ofEdit) => ofEdit.map(() => NO_ROWS))
  for (const [g, group] of networks.groups.entries()) {
    const found = await open.all[g]?.transform(group.arrays, rowsOf(group, rows))
    found?.forEach((part, at) => {
      const [edit, mode] = [Math.floor(at / group.members.length), at % group.members.length]
      made[edit]?.splice(group.members[mode] ?? 0, 1, part)
    })
  }
  return { rows, made }
}

/** Gradients for the arrays of each group's network, given those for what the networks made. */
export async function differentiateNetworks(
  { groups }: EditorNetworks,
  open: OpenNetworks,
  { rows, slopes }: { readonly rows: RowsByWeight; readonly slopes: RowsByWeight },
): Promise<Record<string, Float32Array>[]> {
  const found: Record<string, Float32Array>[] = []
  for (const [g, group] of groups.entries()) {
    const ofMade = rowsOf(group, slopes).map((part) => part.rows)
    found.push((await open.all[g]?.differentiate(group.arrays, rowsOf(group, rows), ofMade)) ?? {})
  }
  return found
}

/** α Σ ũ δ̃ᵀ as a product of two matrices. Without a row, of zeros: all patches of a method have the same parts. */
export function makeFactors(
  parts: readonly Float32Array[],
  { shape: [into, out] }: EditedWeight,
  rate: number,
): Factors {
  const width = into + out
  const count = parts.reduce((sum, { length }) => sum + length / width, 0)
  const rank = Math.max(1, count)
  const left = zeros([into, rank]) // ũᵀ
  const right = zeros([rank, out]) // α δ̃
  let at = 0
  for (const part of parts) {
    for (let start = 0; start < part.length; start += width, at++) {
      for (let i = 0; i < into; i++) left.data[i * rank + at] = part[start + i] ?? 0
      for (let j = 0; j < out; j++) right.data[at * out + j] = rate * (part[start + into + j] ?? 0)
    }
  }
  return { left, right }
}

/**
 * The gradient for (ũ, δ̃) from those for the two matrices, and that for α; so much of both.
 * @throws E_INTERNAL without a gradient for one of them
 */
export function followFactors(
  part: Float32Array,
  { left, right }: Readonly<Partial<Factors>>,
  { weight, rate, share }: { readonly weight: EditedWeight; readonly rate: number; readonly share: number },
): { readonly slopes: Float32Array; readonly rate: number } {
  if (left === undefined || right === undefined) {
    throw new WhicheditError('E_INTERNAL', { what: `no gradient for the change of ${weight.name}` })
  }
  const [into, out] = weight.shape
  const rank = left.shape[1] ?? 1
  const slopes = new Float32Array(part.length)
  let ofRate = 0
  for (let start = 0, at = 0; start < part.length; start += into + out, at++) {
    for (let i = 0; i < into; i++) slopes[start + i] = share * (left.data[i * rank + at] ?? 0)
    for (let j = 0; j < out; j++) {
      const slope = share * (right.data[at * out + j] ?? 0)
      slopes[start + into + j] = rate * slope
      ofRate += slope * (part[start + into + j] ?? 0)
    }
  }
  return { slopes, rate: ofRate }
}
