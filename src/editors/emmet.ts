/**
 * EMMET, Equality-constrained Mass Model Editing in a Transformer: ROME for many facts at once. Where MEMIT weighs new facts
 * against old ones, here every key gets its value, and of all changes that give it that, the one that does the least to
 * ordinary text.
 *
 *   zᵢ = hᵢ + argmin over δ of the loss in steps/target-value.ts, δ added to the residual stream after the layer
 *   W ← W + R (Kᵀ C⁻¹ K + εI)⁻¹ Kᵀ C⁻¹,   R = Z − H                                          (steps/least-squares.ts)
 *
 * K keys at the subject's last token, averaged over prefixes [F, N]; H, Z the residual stream after the layer as it is and as
 * sought [D, N]; C the mean of k kᵀ over ordinary text; ε hardly more than 0, so that facts about one key have a solution.
 * Gupta et al. 2024. Reference code scalable-model-editing/unified-model-editing `emmet/emmet_main.py`: values and keys as
 * in MEMIT, matched. The solution is MEMIT's (equation 14) with a small λ: with the code's weight w of C and its ε,
 * λ = w ε. Matched for the settings of the paper's code, w = 1; zjunlp/EasyEdit ships w = 10⁵, with which half of a value is
 * written, and which is MEMIT. Not matched: ε goes for a single fact too (there it leaves a share of 10⁻⁵ unwritten). Papers write
 * y = W k with W [D, F]; here W is [F, D].
 */
import { sessionBytes } from '../models/footprint.ts'
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { samplePrefixes } from './steps/context-templates.ts'
import {
  covarianceMemory,
  describeCovariances,
  type LayerCovariance,
  prepareCovariances,
  STATISTICS_HPARAMS,
  type StatisticsHparams,
} from './steps/covariance.ts'
import { promptFact, readStatesMemory } from './steps/fact-states.ts'
import { describeChanges, solveLeastSquares } from './steps/least-squares.ts'
import { spreadOverLayers } from './steps/spread.ts'
import {
  findTargetValues,
  TARGET_VALUE_HPARAMS,
  type TargetValueHparams,
  targetValueMemory,
} from './steps/target-value.ts'

/** Settings of EMMET. */
export type EmmetHparams = TargetValueHparams &
  StatisticsHparams & {
    readonly layer: number
    readonly prefixes: number
    readonly slack: number
  }

/** What EMMET needs to know of a model before any fact. */
export interface EmmetPreparation {
  /** The one layer that is changed. */
  readonly layers: readonly LayerCovariance[]
  /** Text put before a prompt; the first is empty. */
  readonly prefixes: readonly string[]
}

/** Tokens of a sampled prefix (`get_context_templates` in emmet_main.py). */
const PREFIX_TOKENS = 10
/** States are read of the model and of the patched one, which is then asked by graphs of its own. */
const STATE_SESSIONS = 2
const QUERY_SESSIONS = 2

/** Equality-constrained mass model editing in a transformer. */
export const emmet: Editor<EmmetHparams, EmmetPreparation> = {
  name: 'emmet',
  title: 'EMMET',
  summary: 'Writes many facts at once into one feed-forward layer, each in full, by the smallest change that does so.',
  version: 1,
  paper: {
    authors: 'Gupta et al.',
    year: 2024,
    title: 'A Unified Framework for Model Editing',
    url: 'https://arxiv.org/abs/2403.14236',
    code: 'https://github.com/scalable-model-editing/unified-model-editing',
  },
  family: 'locate-then-edit',
  batch: 'many',
  needs: ['gradient', 'hidden', 'covariance'],
  hparams: {
    layer: { meaning: 'layer whose down-projection is changed', unit: 'layer', reference: 'layers' },
    ...TARGET_VALUE_HPARAMS,
    prefixes: {
      meaning: 'sampled prefixes of 10 tokens',
      unit: 'prefixes',
      range: [0, 1000],
      whole: true,
      reference: '[(10, 5)] in emmet_main.py',
    },
    slack: {
      meaning: 'how far values may be missed for the sake of ordinary text, as a multiple of the feed-forward width',
      unit: '1',
      range: [0, 1e6],
      reference: 'emmet_lambda, times mom2_update_weight',
    },
    ...STATISTICS_HPARAMS,
  },

  memory(model, { layer, prefixes }) {
    // The bare prompt and "{subject} is a" besides.
    const rows = prefixes + 2
    return {
      ...covarianceMemory(model),
      editBytes:
        targetValueMemory(model, { layer, rows }) + readStatesMemory(model) + sessionBytes(model, STATE_SESSIONS),
      queryBytes: sessionBytes(model, QUERY_SESSIONS),
    }
  },

  async prepare({ model, hparams, material }, ctx) {
    const { layer, tokensPerUnit, ridge } = hparams
    return {
      prefixes: await samplePrefixes(model, [{ tokens: PREFIX_TOKENS, count: hparams.prefixes }], ctx),
      layers: await prepareCovariances({ model, layers: [layer], text: material.text, tokensPerUnit, ridge }, ctx),
    }
  },

  async edit({ model, facts, hparams, prepared }, ctx) {
    const { layer, slack } = hparams
    const { layers, prefixes } = prepared
    const prompted = await Promise.all(checkFacts(emmet, facts).map((fact) => promptFact(model, fact, prefixes)))
    const sought = await findTargetValues(model, prompted, { ...hparams, site: 'block-output' }, ctx)
    const { values } = sought
    const written = await spreadOverLayers(
      { model, facts: prompted, layers, site: `block-output.${layer}`, values, share: () => 1 },
      (covariance, work) => solveLeastSquares({ ...work, covariance, lambda: slack * covariance.size }),
      ctx,
    )
    return {
      parts: written.changes.map(({ part }) => part),
      report: {
        ...sought.report,
        ...written.report,
        ...(await describeChanges(model, written.changes)),
        ...describeCovariances(layers),
      },
    }
  },
}
