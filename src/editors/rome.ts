/**
 * ROME, Rank-One Model Editing: a fact as a key and a value in one feed-forward layer, changed by the smallest update of
 * its down-projection.
 *
 *   k* = mean over prefixes of the down-projection's input at the subject's last token
 *   u  = C⁻¹ k*                                       C = mean of k kᵀ over ordinary text
 *   v* = v₀ + argmin over δ of the loss in steps/target-value.ts
 *   Ŵ  = W + Λ uᵀ,  Λ = (v* − W k) / (uᵀ k)            k the same input for the bare prompt
 *
 * Meng et al. 2022, equations 2–4. Reference code kmeng01/rome `rome/rome_main.py`, matched: the direction comes from the
 * averaged key, the constraint holds for the bare prompt's key. Not matched: where a model without a begin-of-text token
 * meets the subject as a text's first token, prefixed prompts alone count (`prefixesOffStart` says why). Papers write
 * y = W k with W [D, F]; here W is [F, D], and the patch's left factor is u [F, 1], its right one Λ [1, D]. zjunlp/EasyEdit
 * ships ROME with C left out; here it is in.
 */
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'
import type { Fact } from '../facts/fact.ts'
import { sessionBytes } from '../models/footprint.ts'
import type { LanguageModel } from '../models/model.ts'
import type { Patch } from '../models/patch.ts'
import { norm, normOfProduct, subtract } from '../tensor/linalg.ts'
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { samplePrefixes } from './steps/context-templates.ts'
import {
  type Covariance,
  covarianceMemory,
  prepareCovariance,
  STATISTICS_HPARAMS,
  type StatisticsHparams,
  solveCovariance,
} from './steps/covariance.ts'
import { averageRows, readKeys } from './steps/keys.ts'
import { solveRankOne } from './steps/rank-one.ts'
import { prefixesOffStart, promptAfter, tokenizeSubject } from './steps/subject.ts'
import {
  findTargetValue,
  TARGET_VALUE_HPARAMS,
  type TargetValueHparams,
  targetValueMemory,
} from './steps/target-value.ts'

/** Settings of ROME. */
export type RomeHparams = TargetValueHparams &
  StatisticsHparams & {
    readonly layer: number
    readonly shortPrefixes: number
    readonly longPrefixes: number
  }

/** What ROME needs to know of a model before any fact. */
export interface RomePreparation {
  readonly covariance: Covariance
  /** Text put before a prompt; the first is empty. */
  readonly prefixes: readonly string[]
}

/** ‖Ŵk − v*‖ ≤ this · ‖v*‖: float32 leaves some 1e-6; anything larger is a wrong weight, orientation or token. */
const MOST_KEY_RESIDUAL = 1e-3
/** Keys are read of the model and of the patched one, which is then asked by graphs of its own. */
const KEY_SESSIONS = 2
const QUERY_SESSIONS = 2

/** Rank-one model editing. */
export const rome: Editor<RomeHparams, RomePreparation> = {
  name: 'rome',
  title: 'ROME',
  summary:
    'Writes the fact into one feed-forward layer by the smallest change that makes the subject recall the new answer.',
  version: 2,
  paper: {
    authors: 'Meng et al.',
    year: 2022,
    title: 'Locating and Editing Factual Associations in GPT',
    url: 'https://arxiv.org/abs/2202.05262',
    code: 'https://github.com/kmeng01/rome',
  },
  family: 'locate-then-edit',
  batch: 'one',
  needs: ['gradient', 'hidden', 'covariance'],
  hparams: {
    layer: { meaning: 'layer whose down-projection is changed', unit: 'layer', reference: 'layers' },
    ...TARGET_VALUE_HPARAMS,
    shortPrefixes: {
      meaning: 'sampled prefixes of 5 tokens',
      unit: 'prefixes',
      range: [0, 1000],
      whole: true,
      reference: 'context_template_length_params',
    },
    longPrefixes: {
      meaning: 'sampled prefixes of 10 tokens',
      unit: 'prefixes',
      range: [0, 1000],
      whole: true,
      reference: 'context_template_length_params',
    },
    ...STATISTICS_HPARAMS,
  },

  memory(model, { layer, shortPrefixes, longPrefixes }) {
    // The bare prompt and "{subject} is a" besides.
    const rows = shortPrefixes + longPrefixes + 2
    const keys = sessionBytes(model, KEY_SESSIONS)
    return {
      ...covarianceMemory(model),
      editBytes: targetValueMemory(model, { layer, rows }) + keys,
      queryBytes: sessionBytes(model, QUERY_SESSIONS),
    }
  },

  async prepare({ model, hparams, material }, ctx) {
    const { layer, tokensPerUnit, ridge, shortPrefixes, longPrefixes } = hparams
    const lengths = [
      { tokens: 5, count: shortPrefixes },
      { tokens: 10, count: longPrefixes },
    ]
    return {
      prefixes: await samplePrefixes(model, lengths, ctx),
      covariance: await prepareCovariance({ model, layer, text: material.text, tokensPerUnit, ridge }, ctx),
    }
  },

  async edit({ model, facts, hparams, prepared }, ctx) {
    const [fact] = checkFacts(rome, facts)
    return editFact({ model, fact, hparams, prepared }, ctx)
  },
}

interface FactJob {
  readonly model: LanguageModel
  readonly fact: Fact
  readonly hparams: RomeHparams
  readonly prepared: RomePreparation
}

async function editFact({ model, fact, hparams, prepared }: FactJob, ctx: Context): Promise<Patch> {
  const { layer } = hparams
  const { covariance } = prepared
  const textAfter = (prefix: string) => promptAfter(prefix, fact)
  const prefixes = await prefixesOffStart(model.tokenizer, prepared.prefixes, textAfter)
  const texts = await Promise.all(prefixes.map((prefix) => tokenizeSubject(model.tokenizer, textAfter(prefix))))
  const { keys, values } = await readKeys(model, layer, texts)
  const kStar = averageRows(keys) // [F]
  const u = solveCovariance(covariance, kStar)
  const sought = await findTargetValue({ model, fact, prefixes, settings: { ...hparams, site: 'mlp-output' } }, ctx)
  const vStar = Float64Array.from(sought.initial, (value, i) => value + (sought.delta[i] ?? 0)) // [D]

  // Row 0 is the bare prompt, unless its subject opens it.
  const key = keys.data.subarray(0, covariance.size)
  const value = values.data.subarray(0, vStar.length)
  const weight = model.weightName('mlp-down', layer)
  const { part, divisor } = solveRankOne({ weight, direction: u.x, key, value, target: vStar })

  const patched = model.withPatch({ parts: [part], report: {} })
  const { values: recalled } = await readKeys(patched, layer, texts.slice(0, 1))
  const keyResidual = norm(subtract(vStar, recalled.data)) / norm(vStar)
  if (!(keyResidual < MOST_KEY_RESIDUAL)) {
    throw new WhicheditError('E_KEY_RESIDUAL', { subject: fact.subject, found: keyResidual, most: MOST_KEY_RESIDUAL })
  }
  return {
    parts: [part],
    report: {
      keyResidual,
      divisor,
      relativeChange: normOfProduct(part.left, part.right) / norm((await model.weight(weight)).data),
      targetProbability: sought.targetProbability,
      steps: sought.losses.length,
      lossFirst: sought.losses[0]?.total ?? 0,
      lossLast: sought.losses.at(-1)?.total ?? 0,
      covarianceTokens: covariance.tokens,
      covarianceCondition: covariance.condition,
      solveResidual: u.residual,
    },
  }
}
