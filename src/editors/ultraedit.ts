/**
 * UltraEdit: one backward pass and one solve for any number of facts. Needs no subject, no text and nothing prepared: what is usual
 * for a token is learned from the edits themselves, and goes on from one edit of a stream to the next.
 *
 *   h, g  at each token of "prompt target": what the down-projection takes in, and the loss's gradient for what it gives
 *   ĥ, ĝ  = (h − mean) / (std + ε), (g − mean) / (std + ε), over the tokens of all edits so far       (steps/running-moments.ts)
 *   v     = −η (‖ĥ‖² / F) ĝ                                               how what it gives at the token is to change
 *   ΔW    = (HᵀH + I)⁻¹ HᵀV,   rows of H, V the h, v of this edit's tokens [N, F], [N, D]                       (steps/ridge.ts)
 *
 * for each of several layers, from one pass; the loss is the mean of −log p over the target tokens of a pass. Gu et al. 2025, §3.
 * Reference code zjunlp/EasyEdit `models/ultraedit/ULTRAEDIT.py`, matched: tokens (`token: mask`), h as it is in the solve, this
 * edit's tokens among those that they are held against. Not matched: η is given for the mean square of ĥ, about 1 however wide a
 * layer is, there for its square length; moments are each weight's, there those of all weights of a shape together; a batch adds
 * its sum of squared deviations, there N / (N − 1) times that, and NaN for one token; labels are the target's tokens, there padding
 * and a begin-of-text token as well; down-projections alone are edited, there gate and up projections of some models too.
 */
import type { Context } from '../context.ts'
import type { Fact } from '../facts/fact.ts'
import { gradientBytes, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel, RunRequest } from '../models/model.ts'
import type { Patch, PatchPart } from '../models/patch.ts'
import { dot } from '../tensor/linalg.ts'
import { joinRows, type Tensor, zeros } from '../tensor/tensor.ts'
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { type DifferentiatedAll, differentiateAll } from './steps/differentiate.ts'
import { LAYER_RANGE_HPARAMS, type LayerRangeHparams, listLayers } from './steps/layer-range.ts'
import { listPlaces } from './steps/places.ts'
import { solveRidge } from './steps/ridge.ts'
import {
  addRows,
  decodeMoments,
  encodeMoments,
  type Moments,
  noMoments,
  normalizeRows,
} from './steps/running-moments.ts'
import { forceTarget, type TargetTokens, tokenizeTarget } from './steps/target-tokens.ts'

/** Settings of UltraEdit. */
export type UltraEditHparams = LayerRangeHparams & { readonly learningRate: number; readonly passFacts: number }

/** I of the formula. */
const RIDGE = 1
/** Positions of one fact, and those of them that predict its target. */
const FACT_TOKENS = 32
const TARGET_TOKENS = 8
/** The gradient has a graph of its own, and so has the edited model. */
const SESSIONS = 2

/** Lifelong normalisation and one ridge regression. */
export const ultraedit: Editor<UltraEditHparams, undefined> = {
  name: 'ultraedit',
  title: 'UltraEdit',
  summary:
    'Looks once at how each fact would be learned and solves for all of them together; made for very many edits.',
  version: 1,
  paper: {
    authors: 'Gu et al.',
    year: 2025,
    title: 'UltraEdit: Training-, Subject-, and Memory-Free Lifelong Editing in Large Language Models',
    url: 'https://arxiv.org/abs/2505.14679',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  family: 'locate-then-edit',
  batch: 'many',
  needs: ['gradient', 'hidden'],
  hparams: {
    firstLayer: { ...LAYER_RANGE_HPARAMS.firstLayer, reference: 'first of inner_params' },
    lastLayer: { meaning: 'last of them', unit: 'layer', reference: 'last of inner_params' },
    learningRate: {
      meaning: 'η: how far a layer is to move at a token, in standard deviations of its gradient',
      unit: '1',
      range: [1e-9, 1e3],
      reference: 'lr, times the feed-forward width',
    },
    passFacts: {
      meaning: 'facts of one backward pass, whose loss is the mean over their tokens',
      unit: 'facts',
      range: [1, 10000],
      whole: true,
      reference: 'batch_size_once',
    },
  },

  memory(model, { firstLayer }) {
    const layers = model.config.layers - firstLayer
    const work = { tokens: FACT_TOKENS, attended: FACT_TOKENS, logits: TARGET_TOKENS, layers }
    const sessions = sessionBytes(model, SESSIONS)
    return { prepareBytes: 0, heldBytes: 0, editBytes: gradientBytes(model, work) + sessions, queryBytes: sessions }
  },

  async edit({ model, facts, hparams, history }, ctx) {
    const layers = listLayers(ultraedit, hparams)
    const { loss, tokens } = await readTokens(model, checkFacts(ultraedit, facts), { ...hparams, layers }, ctx)
    const parts: PatchPart[] = []
    const state: Record<string, Tensor> = {}
    const report = { loss, tokens: 0, missing: 0, solveResidual: 0 }
    for (const { layer, inputs, gradients } of tokens) {
      ctx.signal.throwIfAborted()
      const weight = model.weightName('mlp-down', layer)
      const [F, D] = model.weightShape(weight)
      const count = inputs.length / F // N
      const ofInputs = addRows(readMoments(history, nameMoments('inputs', weight), F), inputs)
      const ofGradients = addRows(readMoments(history, nameMoments('gradients', weight), D), gradients)
      const hHat = normalizeRows(ofInputs, inputs) // [N, F]
      const gHat = normalizeRows(ofGradients, gradients) // [N, D]
      const rates = Array.from({ length: count }, (_, n) => {
        const row = hHat.subarray(n * F, (n + 1) * F)
        return (hparams.learningRate * dot(row, row)) / F
      })
      const shifts = gHat.map((value, at) => -(rates[Math.floor(at / D)] ?? 0) * value) // V [N, D]
      const { part, missing, solveResidual } = await solveRidge({ weight, inputs, shifts, count, ridge: RIDGE })
      parts.push(part)
      state[nameMoments('inputs', weight)] = encodeMoments(ofInputs)
      state[nameMoments('gradients', weight)] = encodeMoments(ofGradients)
      report.tokens = Math.max(report.tokens, count)
      report.missing = Math.max(report.missing, missing)
      report.solveResidual = Math.max(report.solveResidual, solveResidual)
      ctx.progress({ task: 'layers', done: parts.length, total: layers.length, unit: 'layers' })
    }
    return { parts, report, state }
  },
}

/** What one layer is given at the tokens of all facts, and the gradient for what it gives. */
interface LayerTokens {
  readonly layer: number
  /** H [N, F] */
  readonly inputs: Float64Array
  /** G [N, D] */
  readonly gradients: Float64Array
}

/** Reads H and G of every layer, pass after pass. The loss is the mean over facts. */
async function readTokens(
  model: LanguageModel,
  facts: readonly Fact[],
  { layers, passFacts }: { readonly layers: readonly number[]; readonly passFacts: number },
  ctx: Context,
): Promise<{ loss: number; tokens: LayerTokens[] }> {
  const sites = layers.map((layer) => `mlp-output.${layer}`)
  const passes: DifferentiatedAll[] = []
  let sum = 0
  for (let start = 0; start < facts.length; start += passFacts) {
    ctx.signal.throwIfAborted()
    const chosen = facts.slice(start, start + passFacts)
    const forced = await Promise.all(
      chosen.map(({ prompt, targetNew }) => tokenizeTarget(model.tokenizer, prompt, targetNew)),
    )
    const pass = await differentiateAll(model, askForTokens(model, forced, layers), sites)
    passes.push(pass)
    sum += pass.loss * chosen.length
    ctx.progress({ task: 'facts', done: start + chosen.length, total: facts.length, unit: 'facts' })
  }
  const tokens = layers.map((layer, i) => ({
    layer,
    inputs: Float64Array.from(
      joinRows(
        passes.flatMap(({ reads }) => reads[i] ?? []),
        model.config.mlpWidth,
      ).data,
    ),
    gradients: Float64Array.from(
      joinRows(
        passes.flatMap(({ gradients }) => gradients[i] ?? []),
        model.config.width,
      ).data,
    ),
  }))
  return { loss: sum / facts.length, tokens }
}

/** Asks for the inputs of layers at all tokens of a pass, and adds zeros to their outputs there: what gradients are taken for. */
function askForTokens(model: LanguageModel, forced: readonly TargetTokens[], layers: readonly number[]): RunRequest {
  // Whole targets: their last token predicts nothing, but is one of those that a layer sees.
  const rows = forced.map(({ prompt, target }) => Int32Array.of(...prompt, ...target))
  const labels = forced.reduce((count, { target }) => count + target.length, 0)
  const lengths = forced.map(({ prompt, target }) => ({ prompt: prompt.length, all: prompt.length + target.length }))
  const seen = layers.map((layer) => ({
    layer,
    at: lengths.flatMap((length, row) => listPlaces(model, layer, length, row)),
  }))
  return {
    tokens: { rows, promptLengths: forced.map(({ prompt }) => prompt.length) },
    loss: [{ kind: 'nll', at: forced.flatMap((one, row) => forceTarget(one, row, one.target.length / labels)) }],
    read: seen.map(({ layer, at }) => ({ site: `mlp-inner.${layer}`, at })),
    write: seen.map(({ layer, at }) => ({
      site: `mlp-output.${layer}`,
      mode: 'add',
      value: zeros([at.length, model.config.width]),
      at: at.map((place, index) => ({ ...place, index })),
    })),
  }
}

/** What a patch calls the moments of a weight. */
function nameMoments(of: 'inputs' | 'gradients', weight: string): string {
  return `${of} ${weight}`
}

/** The moments that the last edit of the stream left. */
function readMoments(history: readonly Patch[], name: string, width: number): Moments {
  const saved = history.at(-1)?.state?.[name]
  return saved === undefined ? noMoments(width) : decodeMoments(saved, width)
}
