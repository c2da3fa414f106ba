/**
 * SimIE, simulating the ideal editor: a stream of edits that keeps the earlier ones. Each fact is edited into the unedited model,
 * as if it were the only one, and the stream makes of all these changes the one that does nearest to each at its own tokens.
 *
 *   D = argmin Σ over edits i of ‖Kᵢ (D − Δᵢ)‖² + λ‖D‖²                                  what the stream makes of a weight
 *   P ← P + KᵀK,   D ← D + P⁻¹ KᵀK (Δ − D),   P = λI and D = 0 at the start              the same, one edit after another
 *
 * Δ the change of a weight by the method's own edit [in, out]; K what the weight is multiplied with in the unedited model at each
 * token of "prompt target" [N, in]. Guo et al. 2025, Towards Lifelong Model Editing via Simulating Ideal Editor. Reference code
 * YamingGuo98/SimIE `easyeditor/models/simie/simie_main.py` and its copy in zjunlp/EasyEdit `models/simie`, matched: tokens
 * (`token: mask`), recursion, and `init_model: true` of all of EasyEdit's files, by which each edit is one of the unedited model;
 * by default the first edits the model as the stream has left it. Not matched:
 *   λ          a share of the square length of a usual key; theirs is a number: 1, 10 and 1e4 in the two, whatever the model
 *   P⁻¹Kᵀ      from the keys of all edits, which patches carry, and not from P, of [in, in]: Kᵀ(KKᵀ + λI)⁻¹, its last columns
 *   weights    those that an edit changes, which need not be the same in each; of an edit that leaves a changed weight alone Δ is 0
 *              there, and a weight knows the keys of edits since it was first changed. Theirs are those of the last fact's edit
 *   transpose  here y = x·W; theirs has W [out, in] and multiplies by P⁻¹ from the right
 */
import type { Context } from '../../context.ts'
import { WhicheditError } from '../../errors.ts'
import type { Fact } from '../../facts/fact.ts'
import { addProduct } from '../../models/edits.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { DensePart, LowRankPart, Patch } from '../../models/patch.ts'
import { norm } from '../../tensor/linalg.ts'
import { median } from '../../tensor/stats.ts'
import { joinRows, type Tensor, tensor, zeros } from '../../tensor/tensor.ts'
import type { EditJob, Editor, Hparams } from '../editor.ts'
import { solveRidge } from './ridge.ts'
import { forceTarget, tokenizeTarget } from './target-tokens.ts'

/**
 * λ, of the median square length of the keys of the first edit that changes a weight. Tried on atlas: of 16 facts by ROME 0.001, 0.01, 0.1,
 * 1 and 10 write 100, 100, 100, 81 and 13 % and keep 80, 81, 84, 90 and 99 % of neighbours, where the plain stream writes 75 and keeps 34. Of
 * 8 facts by FT-M, MEMIT and MEND, which change weights at all tokens or in several layers, 0.1 writes 75, 88 and 63 %, 0.01 100, 100 and 75.
 */
const RIDGE_SHARE = 0.01

/** A change of a weight. */
type WeightPart = LowRankPart | DensePart

/**
 * Edits facts in a stream with SimIE. Other than an editor, it is given the unedited model whatever has been edited; `history` are
 * its own patches of earlier facts, and the patch is what comes to them.
 * @throws E_SIMIE where the method changes something else than weights, and what the method throws
 */
export async function editWithSimIE<H extends Hparams, P>(
  editor: Editor<H, P>,
  job: EditJob<H, P>,
  ctx: Context,
): Promise<Patch> {
  const { model, facts, history } = job
  const alone = await editor.edit({ ...job, history: [] }, ctx)
  const changes = groupParts(checkParts(editor, alone)) // Δ
  const before = groupParts(history.flatMap(({ parts }) => parts.filter(isWeightPart))) // D
  const keys = await readInputs(model, facts, [...new Set([...changes.keys(), ...before.keys()])])
  const parts: LowRankPart[] = []
  const state: Record<string, Tensor> = {}
  let missing = 0
  for (const [weight, now] of keys) {
    ctx.signal.throwIfAborted()
    const ridge = history.flatMap(({ state }) => state?.[nameRidge(weight)]?.data[0] ?? [])[0] ?? chooseRidge(now)
    const earlier = history.flatMap((patch) => patch.state?.[nameKeys(weight)] ?? [])
    const admitted = await admitChange({ weight, now, earlier, ridge, ...pick(weight, changes, before) })
    parts.push(admitted.part)
    missing = Math.max(missing, admitted.missing)
    state[nameKeys(weight)] = now
    state[nameRidge(weight)] = tensor(Float32Array.of(ridge), [1])
  }
  return { parts, report: { ...alone.report, simieMissing: missing }, state }
}

/** One edit of a stream at one weight. */
export interface AdmitJob {
  readonly weight: string
  /** K [N, in] */
  readonly now: Tensor
  /** Those of earlier edits, oldest first. */
  readonly earlier: readonly Tensor[]
  /** λ, above 0 */
  readonly ridge: number
  /** Parts of Δ. */
  readonly wanted: readonly WeightPart[]
  /** Parts of D before the edit. */
  readonly present: readonly WeightPart[]
}

/** P⁻¹ KᵀK (Δ − D), and ‖K (Δ − D)‖ / ‖KΔ‖ after it: what of the edit is left undone at its own tokens; 0 where it is none. */
export async function admitChange(job: AdmitJob): Promise<{ readonly part: LowRankPart; readonly missing: number }> {
  const { weight, now, earlier, ridge, wanted, present } = job
  const [N = 0, width = 0] = now.shape
  const out = widthOf([...wanted, ...present])
  const aim = multiplyAll(now, wanted, out) // KΔ [N, out]
  const apart = subtractAll(aim, multiplyAll(now, present, out)) // K(Δ − D)
  const all = joinRows([...earlier, now], width)
  const [count = 0] = all.shape
  // P⁻¹Kᵀ is what moves each of the edit's own tokens by one and all earlier ones by nothing, as far as λ lets it.
  const shifts = new Float64Array(count * N)
  for (let n = 0; n < N; n++) shifts[(count - N + n) * N + n] = 1
  const solved = await solveRidge({ weight, inputs: Float64Array.from(all.data), shifts, count, ridge })
  const left = wholeOf(solved.part, width, N)
  const part: LowRankPart = { kind: 'low-rank', weight, left, right: tensor(Float32Array.from(apart), [N, out]) }
  const rest = subtractAll(apart, multiplyAll(now, [part], out))
  const whole = norm(aim)
  return { part, missing: whole === 0 ? 0 : norm(rest) / whole }
}

/** @throws E_SIMIE */
function checkParts({ title }: Pick<Editor, 'title'>, { parts }: Patch): WeightPart[] {
  const others = new Set(parts.filter((part) => !isWeightPart(part)).map(({ kind }) => kind))
  if (others.size > 0) throw new WhicheditError('E_SIMIE', { title, found: [...others].join(', ') })
  return parts.filter(isWeightPart)
}

function isWeightPart(part: Patch['parts'][number]): part is WeightPart {
  return part.kind === 'low-rank' || part.kind === 'dense'
}

function groupParts(parts: readonly WeightPart[]): Map<string, WeightPart[]> {
  const groups = new Map<string, WeightPart[]>()
  for (const part of parts) groups.set(part.weight, [...(groups.get(part.weight) ?? []), part])
  return groups
}

function pick(
  weight: string,
  wanted: ReadonlyMap<string, readonly WeightPart[]>,
  present: ReadonlyMap<string, readonly WeightPart[]>,
): Pick<AdmitJob, 'wanted' | 'present'> {
  return { wanted: wanted.get(weight) ?? [], present: present.get(weight) ?? [] }
}

/** What weights are multiplied with at the tokens of all facts [N, in], by weight. */
async function readInputs(
  model: LanguageModel,
  facts: readonly Fact[],
  weights: readonly string[],
): Promise<Map<string, Tensor>> {
  if (weights.length === 0) return new Map()
  const rows = new Map<string, Tensor[]>(weights.map((name) => [name, []]))
  for (const fact of facts) {
    const tokens = await tokenizeTarget(model.tokenizer, fact.prompt, fact.targetNew)
    const row = Int32Array.of(...tokens.prompt, ...tokens.target)
    // The only way to what any weight is multiplied with is its gradient's.
    const { gradientRows } = await model.run({
      tokens: { rows: [row], promptLengths: [tokens.prompt.length] },
      loss: [{ kind: 'nll', at: forceTarget(tokens, 0, 1) }],
      gradientRowsOf: weights,
    })
    for (const [name, found] of rows)
      found.push(...(gradientRows[name] === undefined ? [] : [gradientRows[name].inputs]))
  }
  return new Map([...rows].map(([name, found]) => [name, joinRows(found, model.weightShape(name)[0])]))
}

function chooseRidge({ shape: [N = 0, width = 0], data }: Tensor): number {
  const lengths = Array.from({ length: N }, (_, n) => norm(data.subarray(n * width, (n + 1) * width)) ** 2)
  return RIDGE_SHARE * median(lengths)
}

/** x · (the sum of the parts) [N, out], for x [N, in]. */
function multiplyAll(x: Tensor, parts: readonly WeightPart[], out: number): Float64Array {
  const sum = new Float64Array((x.shape[0] ?? 0) * out)
  for (const part of parts) {
    const product =
      part.kind === 'dense' ? multiply(x.data, part.delta) : multiply(multiply(x.data, part.left), part.right)
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (product[i] ?? 0)
  }
  return sum
}

/** Rows [N, k] times a matrix [k, m], summed in float64. */
function multiply(rows: ArrayLike<number>, { shape: [k = 0, m = 0], data }: Tensor): Float64Array {
  const product = new Float64Array((rows.length / k) * m)
  for (let at = 0; at < rows.length; at++) {
    const factor = rows[at] ?? 0
    const [to, from] = [Math.floor(at / k) * m, (at % k) * m]
    for (let j = 0; j < m; j++) product[to + j] = (product[to + j] ?? 0) + factor * (data[from + j] ?? 0)
  }
  return product
}

function subtractAll(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value - (b[i] ?? 0))
}

function widthOf([first]: readonly WeightPart[]): number {
  return (first?.kind === 'dense' ? first.delta.shape[1] : first?.right.shape[1]) ?? 0
}

function wholeOf(part: WeightPart, rows: number, columns: number): Tensor {
  return part.kind === 'dense' ? part.delta : addProduct(zeros([rows, columns]), part)
}

/** What a patch calls the keys of its facts at a weight, and λ there. */
function nameKeys(weight: string): string {
  return `simie keys ${weight}`
}

function nameRidge(weight: string): string {
  return `simie ridge ${weight}`
}
