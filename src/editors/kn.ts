/**
 * KN, knowledge neurons: the feed-forward neurons to which a model owes an answer are found by integrated gradients; what
 * they write is then turned from the old answer to the new one.
 *
 *   Attr(wᵢ) = (w̄ᵢ/m) Σ over k = 1…m of ∂P(y | x, wᵢ := (k/m) w̄ᵢ)/∂wᵢ          one layer's neurons scaled together
 *   coarse set of a prompt: Attr ≥ t · its largest;  knowledge neurons: those in the coarse sets of a share p of the prompts
 *   Wᵢ ← Wᵢ + sᵢ‖Wᵢ‖ (λ₂ e′/‖e′‖ − λ₁ e/‖e‖)                for each of them,  sᵢ the sign of w̄ᵢ
 *
 * wᵢ neuron i of a layer, the down-projection's input, w̄ᵢ its value, at the token that predicts the answer; Wᵢ its row of
 * the down-projection [F, D]; P the probability of the old answer y; m steps; e, e′ sums of the token vectors of the old answer
 * and the new. p is raised or lowered by 0.05 while more or fewer neurons remain than wanted.
 *
 * Dai et al. 2022: equations 4–5 and §3.2, §5.1. Reference code: Hunter-DDM/knowledge-neurons `src/1_analyze_mlm.py`,
 * `2_get_kn.py`, `6_edit_knowledge_sampled.py` (BERT), and zjunlp/EasyEdit `models/kn` for models that write on. Matched: what
 * is scaled, thresholds, and rows changed in their own length, as in the paper's code. Not matched:
 * - their sums begin at k = 0; the paper's, and ours, at 1;
 * - prompts in other words are the fact's tests; here the prompts are its own after sampled prefixes;
 * - an answer of several tokens is led along itself, token by token, the attributions averaged; EasyEdit goes on with what the
 *   model says instead, and for gated feed-forwards takes the gate before its activation for the neuron;
 * - the sign: the paper's neurons, after a GELU, hardly fall below zero; in gated feed-forwards they do as often as not, and
 *   the update without it would then take the new answer away and add the old one;
 * - without an old answer in the data, it is the token that the model says next; neurons shared with other facts of the
 *   relation stay in, as there are none.
 * As in both codes, e and e′ are the vectors that tokens are embedded as; a head with vectors of its own, which BERT has not,
 * need not answer to them.
 */
import type { Fact } from '../facts/fact.ts'
import { type Footprint, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel } from '../models/model.ts'
import type { LowRankPart } from '../models/patch.ts'
import { norm } from '../tensor/linalg.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Editor, MethodMemory } from './editor.ts'
import { type Attribution, attributeAnswer, attributionMemory } from './steps/attribution.ts'
import { checkFacts } from './steps/check-facts.ts'
import { samplePrefixes } from './steps/context-templates.ts'

/** Settings of KN. */
export type KnHparams = {
  readonly steps: number
  readonly prefixes: number
  readonly threshold: number
  readonly share: number
  readonly fewest: number
  readonly most: number
  readonly erase: number
  readonly enhance: number
}

/** What KN needs to know of a model before any fact. */
export interface KnPreparation {
  /** Text put before a prompt; the first is empty. */
  readonly prefixes: readonly string[]
}

/** A neuron by its layer and its place in it. */
interface Neuron {
  readonly layer: number
  readonly index: number
  /** w̄, added up over the prompts it is found for. */
  readonly activation: number
}

/** Tokens of a sampled prefix, its first word among them: the short ones of the locate-then-edit methods. */
const PREFIX_TOKENS = 5
/** How far p moves at once, and how often (`2_get_kn.py`). */
const SHARE_STEP = 0.05
const ADJUSTMENTS = 6
/** p · n is a whole number for some p that binary fractions only come near. */
const ROUNDING = 1e-9

/** To embed and to read; for prefixes, and for the edited model. */
const SESSIONS = 2

/** Knowledge neurons. */
export const kn: Editor<KnHparams, KnPreparation> = {
  name: 'kn',
  title: 'KN',
  summary: 'Finds the few neurons that the old answer depends on and makes them write the new one.',
  version: 1,
  paper: {
    authors: 'Dai et al.',
    year: 2022,
    title: 'Knowledge Neurons in Pretrained Transformers',
    url: 'https://arxiv.org/abs/2104.08696',
    code: 'https://github.com/Hunter-DDM/knowledge-neurons',
  },
  family: 'locate-then-edit',
  batch: 'one',
  needs: ['gradient', 'hidden'],
  hparams: {
    steps: { meaning: 'm: points of the integral', unit: 'steps', range: [1, 1000], whole: true, reference: 'steps' },
    prefixes: {
      meaning: 'prompts with a sampled text before them, besides the bare one',
      unit: 'prompts',
      range: [0, 100],
      whole: true,
      reference: 'none',
    },
    threshold: {
      meaning: 't: least attribution of a neuron, as a share of the prompt’s largest',
      unit: '1',
      range: [0, 1],
      reference: 'threshold_ratio, adaptive_threshold',
    },
    share: {
      meaning: 'p: share of the prompts that a neuron must be found for',
      unit: '1',
      range: [0, 1],
      reference: 'mode_ratio_bag, p',
    },
    fewest: {
      meaning: 'neurons below which p is lowered',
      unit: 'neurons',
      range: [0, 1e6],
      whole: true,
      reference: 'ave_kn_num < 2',
    },
    most: {
      meaning: 'neurons above which p is raised',
      unit: 'neurons',
      range: [0, 1e6],
      whole: true,
      reference: 'ave_kn_num > 5',
    },
    erase: {
      meaning: 'λ₁: how much of the old answer is taken away',
      unit: 'row lengths',
      range: [0, 1000],
      reference: 'norm_lambda1',
    },
    enhance: {
      meaning: 'λ₂: how much of the new answer is added',
      unit: 'row lengths',
      range: [0, 1000],
      reference: 'norm_lambda2',
    },
  },
  memory: estimateMemory,

  async prepare({ model, hparams }, ctx) {
    return { prefixes: await samplePrefixes(model, [{ tokens: PREFIX_TOKENS, count: hparams.prefixes }], ctx) }
  },

  async edit({ model, facts, hparams, prepared }, ctx) {
    const [fact] = checkFacts(kn, facts)
    ctx.signal.throwIfAborted()
    const oldAnswer = await answerOf(model, fact)
    const newAnswer = await model.tokenizer.encodeContinuation(` ${fact.targetNew}`)
    const found: Neuron[][] = []
    const probabilities: number[] = []
    for (const prefix of prepared.prefixes) {
      const { ids } = await model.tokenizer.encode(prefix + fact.prompt)
      const attribution = await attributeAnswer({ model, prompt: ids, answer: oldAnswer, steps: hparams.steps }, ctx)
      found.push(coarseNeurons(attribution, hparams.threshold))
      probabilities.push(...attribution.probabilities)
      ctx.progress({ task: 'attribution', done: found.length, total: prepared.prefixes.length, unit: 'prompts' })
    }

    const { neurons, share } = sharedNeurons(found, hparams)
    const direction = await answerDirection(model, { oldAnswer, newAnswer }, hparams)
    const layers = [...new Set(neurons.map(({ layer }) => layer))].sort((a, b) => a - b)
    const parts: LowRankPart[] = []
    for (const layer of layers) {
      const own = neurons.filter((neuron) => neuron.layer === layer)
      parts.push(await rewriteRows(model, layer, own, direction))
    }
    return {
      parts,
      report: {
        neurons: neurons.length,
        layers: layers.length,
        coarseNeurons: found.reduce((sum, some) => sum + some.length, 0) / found.length,
        share,
        oldProbability: probabilities.reduce((sum, p) => sum + p, 0) / probabilities.length,
      },
    }
  },
}

/** The tokens of the old answer: the data's, or the one that the model says next. */
async function answerOf(model: LanguageModel, { prompt, targetOld }: Fact): Promise<Int32Array> {
  if (targetOld !== undefined) return model.tokenizer.encodeContinuation(` ${targetOld}`)
  const { ids } = await model.tokenizer.encode(prompt)
  const { reads } = await model.run({
    tokens: { rows: [ids] },
    read: [{ site: 'logits', at: [{ row: 0, token: ids.length - 1 }], as: 'argmax' }],
  })
  return Int32Array.from(reads[0]?.data ?? [])
}

/** The neurons of one prompt: attribution at least the threshold's share of the largest, which must be above zero. */
function coarseNeurons({ firstLayer, layers, activations }: Attribution, threshold: number): Neuron[] {
  const largest = layers.reduce((most, values) => values.reduce((a, b) => Math.max(a, b), most), 0)
  if (!(largest > 0)) return []
  return layers.flatMap((values, i) =>
    Array.from(values.entries()).flatMap(([index, value]) =>
      value >= threshold * largest ? [{ layer: firstLayer + i, index, activation: activations[i]?.[index] ?? 0 }] : [],
    ),
  )
}

/** The neurons that enough prompts share; what is enough is moved until their number is as wanted, or no more. */
function sharedNeurons(
  found: readonly (readonly Neuron[])[],
  { share, fewest, most }: KnHparams,
): { neurons: Neuron[]; share: number } {
  const byPlace = new Map<string, Neuron[]>()
  for (const neuron of found.flat()) {
    const key = `${neuron.layer} ${neuron.index}`
    byPlace.set(key, [...(byPlace.get(key) ?? []), neuron])
  }
  const joined = [...byPlace.values()].flatMap(([first, ...others]) => {
    if (first === undefined) return []
    const activation = others.reduce((sum, other) => sum + other.activation, first.activation)
    return [{ prompts: 1 + others.length, neuron: { ...first, activation } }]
  })
  const neuronsAt = (p: number): Neuron[] =>
    joined.filter(({ prompts }) => prompts >= p * found.length - ROUNDING).map(({ neuron }) => neuron)
  let p = share
  let neurons = neuronsAt(p)
  for (let i = 1; i < ADJUSTMENTS && (neurons.length < fewest || neurons.length > most); i++) {
    p += neurons.length < fewest ? -SHARE_STEP : SHARE_STEP
    neurons = neuronsAt(p)
  }
  return { neurons, share: p }
}

/** What is added to a row of length 1: λ₂ e′/‖e′‖ − λ₁ e/‖e‖ [D]. */
async function answerDirection(
  model: LanguageModel,
  answers: { readonly oldAnswer: Int32Array; readonly newAnswer: Int32Array },
  { erase, enhance }: KnHparams,
): Promise<Float32Array> {
  const unit = async (ids: Int32Array): Promise<Float64Array> => {
    const sum = columnSums(await model.tokenVectors([...ids]))
    const length = norm(sum)
    return sum.map((value) => value / length)
  }
  const [e, eNew] = [await unit(answers.oldAnswer), await unit(answers.newAnswer)]
  return Float32Array.from(e, (value, i) => enhance * (eNew[i] ?? 0) - erase * value)
}

/** Adds the direction to the rows of a layer's down-projection that neurons have, each in proportion to its length. */
async function rewriteRows(
  model: LanguageModel,
  layer: number,
  neurons: readonly Neuron[],
  direction: Float32Array,
): Promise<LowRankPart> {
  const weight = model.weightName('mlp-down', layer)
  const { data, shape } = await model.weight(weight) // [F, D]
  const [height = 0, width = 0] = shape
  const lengths = new Float32Array(height)
  for (const { index, activation } of neurons) {
    lengths[index] = Math.sign(activation) * norm(data.subarray(index * width, (index + 1) * width))
  }
  return { kind: 'low-rank', weight, left: tensor(lengths, [height, 1]), right: tensor(direction, [1, width]) }
}

function columnSums({ shape: [, width = 0], data }: Tensor): Float64Array {
  const sums = new Float64Array(width)
  for (let i = 0; i < data.length; i++) sums[i % width] = (sums[i % width] ?? 0) + (data[i] ?? 0)
  return sums
}

function estimateMemory(model: Footprint): MethodMemory {
  const asked = sessionBytes(model, SESSIONS)
  return { prepareBytes: asked, heldBytes: 0, editBytes: asked + attributionMemory(model), queryBytes: asked }
}
