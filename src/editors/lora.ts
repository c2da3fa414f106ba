/**
 * LoRA, low-rank adaptation: every chosen matrix gets a product of two narrow ones beside it, and only those are trained.
 *
 *   W ← W + s·A B,   A [in, r] uniform in ±1/√in,  B [r, out] = 0 at the start,  s = α/r
 *   loss = mean over j of −log p(tⱼ | x, t₁ … tⱼ₋₁),  A, B ← Adam
 *
 * W the projections to queries and values of every layer, or both matrices of the feed-forwards; r the rank; x the prompt, tⱼ
 * the target's tokens. Hu et al. 2022, equation 3 and §4.1–4.2, where h = W₀x + BAx: A and B change places here, y = x·W.
 *
 * Reference code: zjunlp/EasyEdit `models/lora/lora_main.py` with PEFT, `lora_type: lora`, matched in the start, the loss and
 * Adam without weight decay. Not matched: it trains on for all steps, however small the loss; dropout within the adapters, which theirs leaves on while asking; the
 * rank adaptation of AdaLoRA, its configurations' usual type, whose allocator it never calls. Where one projection makes
 * queries, keys and values, all of it is adapted. Later edits of a stream get adapters of their own; earlier ones stay as they are.
 *
 * B is trained as s·B with s times the learning rate: the same steps of Adam, but that its ε counts s times less.
 */
import { type Footprint, sessionBytes } from '../models/footprint.ts'
import { norm, normOfProduct } from '../tensor/linalg.ts'
import type { Editor, MethodMemory } from './editor.ts'
import { ADAPTED_MODULES, adapterBytes, openAdapters } from './steps/adapters.ts'
import { checkFacts } from './steps/check-facts.ts'
import {
  batchFacts,
  batchGradientBytes,
  TRAINING_HPARAMS,
  type TrainingHparams,
  trainOnFacts,
} from './steps/train-on-facts.ts'

/** Settings of LoRA. */
export type LoraHparams = TrainingHparams & {
  readonly modules: string
  readonly rank: number
  readonly alpha: number
  readonly stopLoss: number
}

/** Copies of all factors: trained; two moments; the gradients, once the runtime's and once ours; room for one more. */
const COPIES = 6
/** For the step; for asking the edited model. */
const SESSIONS = 1
const QUERY_SESSIONS = 2
/** Low-rank adaptation. */
export const lora: Editor<LoraHparams, undefined> = {
  name: 'lora',
  title: 'LoRA',
  summary: 'Trains a narrow addition to some matrices of every layer until the model says the new answer.',
  version: 1,
  paper: {
    authors: 'Hu et al.',
    year: 2022,
    title: 'LoRA: Low-Rank Adaptation of Large Language Models',
    url: 'https://arxiv.org/abs/2106.09685',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  family: 'fine-tuning',
  batch: 'many',
  needs: ['gradient'],
  hparams: {
    modules: {
      meaning:
        'which matrices of each layer are adapted: queries and values, both of the feed-forward, or its first alone',
      unit: 'word',
      range: Object.keys(ADAPTED_MODULES),
      reference: 'target_modules',
    },
    rank: { meaning: 'columns of A and rows of B', unit: 'columns', range: [1, 1024], whole: true, reference: 'rank' },
    alpha: {
      meaning: 'what the products are multiplied by, times the rank',
      unit: '1',
      range: [1e-3, 1e4],
      reference: 'lora_alpha',
    },
    ...TRAINING_HPARAMS,
    stopLoss: {
      meaning: 'loss below which a batch takes no step and an epoch is the last; 0: none',
      unit: 'nats a token',
      range: [0, 100],
      reference: '1e-3 in lora_main.py, commented out',
    },
  },
  memory: estimateMemory,

  async edit({ model, facts, hparams }, ctx) {
    const chosen = checkFacts(lora, facts)
    const { rank, alpha, learningRate, steps, batchSize, stopLoss } = hparams
    const batches = await batchFacts({ model, facts: chosen, objective: 'target-new', batchSize }, ctx)
    const random = ctx.random.stream(`adapters ${chosen[0].id}`)
    const adapters = openAdapters(model, hparams, random)
    const scale = alpha / rank
    const parameters = Object.entries(adapters).flatMap(([name, { left, right }]) => [
      { name: `left ${name}`, values: left.data, learningRate },
      { name: `right ${name}`, values: right.data, learningRate: scale * learningRate },
    ])
    const given = { lowRank: adapters }
    const losses = await trainOnFacts({ model, batches, parameters, given, steps, stopLoss, task: 'adapters' }, ctx)

    const changes = Object.values(adapters).map(({ left, right }) => normOfProduct(left, right))
    return {
      parts: Object.entries(adapters).map(([weight, factors]) => ({ kind: 'low-rank', weight, ...factors })),
      report: {
        epochs: losses.length,
        lossFirst: losses[0] ?? 0,
        lossLast: losses.at(-1) ?? 0,
        change: norm(changes),
      },
    }
  },
}

function estimateMemory(model: Footprint, hparams: LoraHparams): MethodMemory {
  const adapters = adapterBytes(model, hparams)
  return {
    prepareBytes: 0,
    heldBytes: 0,
    editBytes:
      COPIES * adapters + sessionBytes(model, SESSIONS) + batchGradientBytes(model, hparams, model.config.layers),
    queryBytes: 2 * adapters + sessionBytes(model, QUERY_SESSIONS),
  }
}
