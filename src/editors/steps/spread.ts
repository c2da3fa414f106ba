/**
 * Many facts written over several layers, one after another: each layer takes its share of what is still missing from the
 * values sought at the last, and keys and states are read again of the model as changed so far.
 *
 *   for l in layers, L the last:   K = keys at l,   R = (Z − H_L) · share,   ΔW_l solved from K and R
 *
 * Meng et al. 2023, §4.3 and algorithm 1; reference code kmeng01/memit `memit/memit_main.py`.
 */
import type { Context } from '../../context.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { PatchPart } from '../../models/patch.ts'
import { norm, subtract } from '../../tensor/linalg.ts'
import { type PromptedFact, readStates, type StatePlaces } from './fact-states.ts'

/** What is to be written where. L says of a layer what a method knows of it. */
export interface SpreadJob<L extends { readonly layer: number }> {
  readonly model: LanguageModel
  readonly facts: readonly PromptedFact[]
  /** In order. */
  readonly layers: readonly L[]
  /** Where the values were sought. */
  readonly site: StatePlaces['site']
  /** Z, a row a fact [N, D] */
  readonly values: Float64Array
  /** The share of what is missing that the next layer takes, for so many layers that are left, itself among them. */
  readonly share: (left: number) => number
}

/** What one layer is to do. */
export interface LayerWork {
  /** Name of its down-projection. */
  readonly weight: string
  /** K, a row a fact [N, F] */
  readonly keys: Float64Array
  /** What each key lacks [N, D] */
  readonly residuals: Float64Array
}

/** What was written. */
export interface Spread<C> {
  /** What was solved for, one for each layer. */
  readonly changes: readonly C[]
  /** The mean of ‖z − h‖ over facts before the first layer, after it, and so on to after the last. */
  readonly missing: readonly number[]
  /** For an edit's report: the first and the last of them. */
  readonly report: Readonly<Record<string, number>>
}

/** Writes values into layers, each by what `solve` makes of its keys and residuals. */
export async function spreadOverLayers<L extends { readonly layer: number }, C extends { readonly part: PatchPart }>(
  { model, facts, layers, site, values, share }: SpreadJob<L>,
  solve: (at: L, work: LayerWork) => Promise<C>,
  ctx: Context,
): Promise<Spread<C>> {
  const changes: C[] = []
  const missing: number[] = []
  let edited = model
  const readGap = async ({ layer }: L) => {
    const { keys, states } = await readStates(edited, { layer, site }, facts, ctx.signal)
    const gap = subtract(values, states) // [N, D]
    missing.push(meanLength(gap, facts.length))
    return { keys, gap }
  }
  for (const [i, at] of layers.entries()) {
    const { keys, gap } = await readGap(at)
    const taken = share(layers.length - i)
    const weight = model.weightName('mlp-down', at.layer)
    const change = await solve(at, { weight, keys, residuals: gap.map((value) => value * taken) })
    changes.push(change)
    edited = edited.withPatch({ parts: [change.part], report: {} })
    ctx.progress({ task: 'layers', done: i + 1, total: layers.length, unit: 'layers' })
    if (i + 1 === layers.length) await readGap(at)
  }
  return { changes, missing, report: { missingFirst: missing[0] ?? 0, missingLast: missing.at(-1) ?? 0 } }
}

function meanLength(rows: Float64Array, count: number): number {
  const width = rows.length / count
  const lengths = Array.from({ length: count }, (_, i) => norm(rows.subarray(i * width, (i + 1) * width)))
  return lengths.reduce((sum, length) => sum + length, 0) / count
}
