/**
 * CaliNet: a small feed-forward of new slots beside one layer's own, trained on a set of facts while the model stays as it is.
 *
 *   y = mlp(x) + act(x·K)·V,   loss = mean over facts and j of −log p(tⱼ | p, t₁ … tⱼ₋₁),   K, V ← Adam
 *
 * x the feed-forward's input [D]; K [D, n] and V [n, D] the keys and values of n slots; p a fact's prompt, tⱼ its target's tokens.
 * Both start as `nn.Linear` does, K uniform in ±1/√D and V in ±1/√n. Dong et al. 2022, §3; which of a model's facts are false, the other half of that paper, is
 * not asked here: all facts given are to be written.
 *
 * Reference code: dqxiu/CaliNet `src/modeling_t5.py` (`T5DenseReluDenseEx`) and `train_calinet`, matched in the slots, their start and the
 * loss. Not matched: it trains by Adafactor on several wordings of each fact, this on the one prompt that an edit has; for T5's gated
 * feed-forwards it gates the slots as well, as the paper does not; and it trains for all steps, however small the loss. It
 * knows one set of facts. Here later sets of a stream get slots of their own, beside the earlier ones, which stay as they are.
 */
import { type Footprint, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel } from '../models/model.ts'
import { UNIT_ACTIVATIONS, type UnitActivation, type Units } from '../models/patch.ts'
import { normOfProduct } from '../tensor/linalg.ts'
import type { Random } from '../tensor/random.ts'
import { tensor, zeros } from '../tensor/tensor.ts'
import type { Editor, MethodMemory } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import {
  batchFacts,
  batchGradientBytes,
  TRAINING_HPARAMS,
  type TrainingHparams,
  trainOnFacts,
} from './steps/train-on-facts.ts'

/** Settings of CaliNet. */
export type CalinetHparams = TrainingHparams & {
  readonly layer: number
  readonly slots: number
  readonly activation: UnitActivation
  readonly stopLoss: number
}

/** Copies of the slots: trained; two moments; the gradients, once the runtime's and once ours; room for one more. */
const COPIES = 6
/** For the capture and for the step; for the edited model as many. */
const SESSIONS = 2

/** A side network of calibration slots. */
export const calinet: Editor<CalinetHparams, undefined> = {
  name: 'calinet',
  title: 'CaliNet',
  summary: 'Trains a small feed-forward beside a late layer on all new facts together.',
  version: 1,
  paper: {
    authors: 'Dong et al.',
    year: 2022,
    title: 'Calibrating Factual Knowledge in Pretrained Language Models',
    url: 'https://arxiv.org/abs/2210.03329',
    code: 'https://github.com/dqxiu/CaliNet',
  },
  family: 'extra-parameters',
  batch: 'many',
  needs: ['gradient'],
  hparams: {
    layer: { meaning: 'layer beside whose feed-forward the slots stand', unit: 'layer', reference: 'kb_layer' },
    slots: { meaning: 'n: new slots', unit: 'slots', range: [1, 65536], whole: true, reference: 'ex_size' },
    activation: {
      meaning: 'activation of the slots',
      unit: 'word',
      range: UNIT_ACTIVATIONS,
      reference: "the model's own",
    },
    ...TRAINING_HPARAMS,
    stopLoss: {
      meaning: 'loss below which a batch takes no step and an epoch is the last; 0: none',
      unit: 'nats a token',
      range: [0, 100],
      reference: 'none',
    },
  },
  memory: estimateMemory,

  async edit({ model, facts, hparams }, ctx) {
    const chosen = checkFacts(calinet, facts)
    const { layer, learningRate, steps, batchSize, stopLoss } = hparams
    const batches = await batchFacts(
      { model, facts: chosen, objective: 'target-new', batchSize, fromLayer: layer },
      ctx,
    )
    const slots = openSlots(model, hparams, ctx.random.stream(`slots ${chosen[0].id}`))
    const parameters = [
      { name: `unit-input ${layer}`, values: slots.input.data, learningRate },
      { name: `unit-output ${layer}`, values: slots.output.data, learningRate },
    ]
    const given = { neurons: { [layer]: slots } }
    const losses = await trainOnFacts({ model, batches, parameters, given, steps, stopLoss, task: 'slots' }, ctx)
    return {
      parts: [{ kind: 'neurons', layer, ...slots }],
      report: {
        epochs: losses.length,
        lossFirst: losses[0] ?? 0,
        lossLast: losses.at(-1) ?? 0,
        size: normOfProduct(slots.input, slots.output),
      },
    }
  },
}

/** Slots as they start. They have no biases: those stay zero. */
function openSlots(model: LanguageModel, { slots, activation }: CalinetHparams, random: Random): Units {
  const { width } = model.config
  const draw = (rows: number, columns: number) => {
    const data = Float32Array.from({ length: rows * columns }, () => (2 * random.uniform() - 1) / Math.sqrt(rows))
    return tensor(data, [rows, columns])
  }
  return { activation, input: draw(width, slots), biases: zeros([slots]), output: draw(slots, width) }
}

function estimateMemory(model: Footprint, hparams: CalinetHparams): MethodMemory {
  const { width, layers } = model.config
  const slots = 2 * hparams.slots * width * Float32Array.BYTES_PER_ELEMENT
  // Of one fact, which is what is tried; a set takes as many times as much, up to a batch.
  const gradient = batchGradientBytes(model, { ...hparams, batchSize: 1 }, layers - hparams.layer)
  return {
    prepareBytes: 0,
    heldBytes: 0,
    editBytes: COPIES * slots + sessionBytes(model, SESSIONS) + gradient,
    queryBytes: 2 * slots + sessionBytes(model, SESSIONS),
  }
}
