/**
 * The gradient of an edit, token by token: for each weight the rows whose outer products add up to it.
 *
 *   L = mean over j of −log p(tⱼ | x, t₁ … tⱼ₋₁),   ∂L/∂W = Σ uᵢ δᵢᵀ
 *
 * uᵢ what the weight is multiplied with at token i, δᵢ the gradient for what that gives. Rows with a part of zeros alone are left out,
 * as in eric-mitchell/mend `algs/mend.py`: tokens that the loss does not hear of.
 */
import { WhicheditError } from '../../errors.ts'
import type { LanguageModel, RunRequest } from '../../models/model.ts'
import type { EditedWeight } from './last-blocks.ts'
import { forceTarget, type TargetTokens } from './target-tokens.ts'

/** The gradient of one edit: for each weight, in their order, its rows (uᵢ, δᵢ) [·, in + out]. */
export interface EditGradient {
  readonly loss: number
  readonly rows: readonly Float64Array[]
}

/** The work of {@link readEditGradients}. */
export interface EditGradientsJob {
  readonly model: LanguageModel
  readonly weights: readonly EditedWeight[]
  readonly edits: readonly TargetTokens[]
  /** The edits as they are asked. */
  readonly asked: Pick<RunRequest, 'tokens' | 'resume'>
}

/** Takes the gradients of several edits, each of its own loss, in one run. */
export async function readEditGradients(job: EditGradientsJob): Promise<EditGradient[]> {
  const { model, weights, edits, asked } = job
  const { gradientRows, lossTerms } = await model.run({
    ...asked,
    loss: edits.map((tokens, row) => ({ kind: 'nll', at: forceTarget(tokens, row, 1) })),
    gradientRowsOf: weights.map(({ name }) => name),
  })
  return edits.map((_, edit) => ({
    loss: lossTerms[edit] ?? 0,
    rows: weights.map(({ name, shape: [into, out] }) => {
      const found = gradientRows[name]
      if (found === undefined) throw new WhicheditError('E_INTERNAL', { what: `no gradient rows of ${name}` })
      const length = found.inputs.data.length / into / edits.length
      return joinParts(found.inputs.data, found.slopes.data, {
        into,
        out,
        from: edit * length,
        to: (edit + 1) * length,
      })
    }),
  }))
}

function joinParts(
  inputs: Float32Array,
  slopes: Float32Array,
  { into, out, from, to }: { readonly into: number; readonly out: number; readonly from: number; readonly to: number },
): Float64Array {
  const rows: Float64Array[] = []
  for (let at = from; at < to; at++) {
    const u = inputs.subarray(at * into, (at + 1) * into)
    const delta = slopes.subarray(at * out, (at + 1) * out)
    if (u.every((value) => value === 0) || delta.every((value) => value === 0)) continue
    const row = new Float64Array(into + out)
    row.set(u)
    row.set(delta, into)
    rows.push(row)
  }
  const joined = new Float64Array(rows.length * (into + out))
  for (const [i, row] of rows.entries()) joined.set(row, i * (into + out))
  return joined
}
