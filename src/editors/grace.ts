/**
 * GRACE: a codebook beside one layer. Where a prompt's key lies within an entry's radius, the entry's value takes the place
 * of the layer's output; elsewhere the model is untouched.
 *
 *   h ← vⱼ  if d(q, kⱼ) ≤ εⱼ for the nearest key kⱼ, else W q     (equation 1; at the prompt's last token)
 *
 * q the down-projection's input at the prompt's last token [F]; kⱼ, vⱼ, εⱼ key [F], value [D] and radius of entry j; W the
 * down-projection; d the Euclidean distance; ε₀ the radius of a new entry. Algorithm 1, for an edit with key q and target y:
 *   d > ε₀ + εⱼ            new entry (q, v, ε₀, y)
 *   same target            the nearest entry grows: εⱼ ← max(εⱼ, d); its value is trained on
 *   another target         new entry, and the two share the space between them: ε ← d/2 for both
 * v starts as uniform noise and is trained by Adam on the cross-entropy of the target after the prompt.
 *
 * Hartvigsen et al. 2023. Reference code: Thartvigsen/GRACE `grace/editors/grace.py`, and zjunlp/EasyEdit `models/grace` for
 * Llama models and for writing at the last token only (`replace_last`; the paper's code writes the whole prompt). Matched,
 * but for two defects of theirs: targets are compared token by token, not by the mean of their token ids; and an edit of
 * a prompt that is in the codebook already replaces its entry, where theirs makes two entries of radius about 0 of which
 * neither fires.
 */
import type { Context } from '../context.ts'
import { gradientBytes, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel, Position, RunRequest } from '../models/model.ts'
import type { CodebookPart, Patch } from '../models/patch.ts'
import { norm, subtract } from '../tensor/linalg.ts'
import type { Random } from '../tensor/random.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Editor } from './editor.ts'
import { createAdam } from './steps/adam.ts'
import { checkFacts } from './steps/check-facts.ts'
import { differentiate } from './steps/differentiate.ts'
import { forceTarget, tokenizeTarget } from './steps/target-tokens.ts'

/** Settings of GRACE. */
export type GraceHparams = {
  readonly layer: number
  readonly radius: number
  readonly learningRate: number
  readonly steps: number
}

/** Kept free between two entries that share a space, so that no key lies in both (`split_epsilons_in_half`). */
const SPLIT_GAP = 1e-5
/** Keys nearer than this share of their length are one key read twice; ten times what float32 kernels differ by. */
const SAME_KEY = 1e-4

/** Positions of one fact, and those of them that predict its target. */
const FACT_TOKENS = 32
const TARGET_TOKENS = 8
/** For the capture and for the step; for the edited model as many. */
const SESSIONS = 2

/** One entry of a codebook. */
interface Entry {
  readonly key: Float32Array // [F]
  readonly value: Float32Array // [D]
  readonly radius: number
  readonly label: readonly number[]
}

/** A codebook with the entry that an edit is to train. */
interface Placed {
  readonly entries: readonly Entry[]
  readonly chosen: Entry
  /** From the edit's key to the nearest one before; null for an empty codebook. */
  readonly distance: number | null
}

/** General retrieval adapters for continual editing. */
export const grace: Editor<GraceHparams, undefined> = {
  name: 'grace',
  title: 'GRACE',
  summary: 'Keeps a list of prompts beside one layer and answers those, and only those, with trained values.',
  version: 1,
  paper: {
    authors: 'Hartvigsen et al.',
    year: 2023,
    title: 'Aging with GRACE: Lifelong Model Editing with Discrete Key-Value Adaptors',
    url: 'https://arxiv.org/abs/2211.11031',
    code: 'https://github.com/Thartvigsen/GRACE',
  },
  family: 'extra-parameters',
  batch: 'one',
  needs: ['gradient', 'hidden'],
  hparams: {
    layer: { meaning: 'layer whose down-projection gets the codebook', unit: 'layer', reference: 'inner_params' },
    radius: { meaning: 'radius of a new entry', unit: 'distance', range: [0, 1e6], reference: 'eps' },
    learningRate: { meaning: 'learning rate of Adam', unit: '1', range: [1e-8, 100], reference: 'edit_lr' },
    steps: { meaning: 'steps of training a value', unit: 'steps', range: [1, 10000], whole: true, reference: 'n_iter' },
  },

  memory(model, { layer }) {
    const work = { tokens: FACT_TOKENS, attended: FACT_TOKENS, logits: TARGET_TOKENS }
    const editBytes =
      sessionBytes(model, SESSIONS) + gradientBytes(model, { ...work, layers: model.config.layers - layer })
    return { prepareBytes: 0, heldBytes: 0, editBytes, queryBytes: sessionBytes(model, SESSIONS) }
  },

  async edit({ model, facts, hparams, history }, ctx) {
    const [fact] = checkFacts(grace, facts)
    const { layer } = hparams
    const tokens = await tokenizeTarget(model.tokenizer, fact.prompt, fact.targetNew)
    const place = { row: 0, token: tokens.prompt.length - 1 }
    const batch = { rows: [tokens.row], promptLengths: [tokens.prompt.length] }
    const { reads, capture } = await model.run({
      tokens: batch,
      read: [{ site: `mlp-inner.${layer}`, at: [place] }],
      capture: { layer, from: [place.token] },
    })
    const fresh: Entry = {
      key: reads[0]?.data ?? new Float32Array(),
      value: drawValue(model.config.width, ctx.random.stream(`grace value ${fact.id}`)),
      radius: hparams.radius,
      label: Array.from(tokens.target),
    }

    const { entries, chosen, distance } = placeEntry(readEntries(history, layer), fresh)
    const loss = [{ kind: 'nll', at: forceTarget(tokens, 0, 1) }] as const
    const trained = await trainValue(model, { tokens: batch, resume: capture, loss }, { chosen, place, hparams }, ctx)
    return {
      parts: [
        writeEntries(
          layer,
          entries.map((entry) => (entry === chosen ? { ...chosen, value: trained.value } : entry)),
        ),
      ],
      report: {
        entries: entries.length,
        radius: chosen.radius,
        keyNorm: norm(chosen.key),
        ...(distance === null ? {} : { nearestKeyDistance: distance }),
        lossFirst: trained.losses[0] ?? 0,
        lossLast: trained.losses.at(-1) ?? 0,
      },
    }
  },
}

/** Where algorithm 1 puts an edit; `fresh` is the entry it would be on its own. */
function placeEntry(entries: readonly Entry[], fresh: Entry): Placed {
  const distances = entries.map(({ key }) => norm(subtract(key, fresh.key)))
  const distance = Math.min(...distances)
  const nearest = entries[distances.indexOf(distance)]
  if (nearest === undefined) return { entries: [fresh], chosen: fresh, distance: null }

  const replaceNearest = (...by: Entry[]) => entries.flatMap((entry) => (entry === nearest ? by : entry))
  if (distance > fresh.radius + nearest.radius) return { entries: [...entries, fresh], chosen: fresh, distance }
  if (isSameLabel(nearest.label, fresh.label)) {
    const grown = { ...nearest, radius: Math.max(nearest.radius, distance * (1 + SAME_KEY)) }
    return { entries: replaceNearest(grown), chosen: grown, distance }
  }
  if (distance <= SAME_KEY * norm(fresh.key)) {
    const renewed = { ...fresh, radius: nearest.radius }
    return { entries: replaceNearest(renewed), chosen: renewed, distance }
  }
  const cut = { ...nearest, radius: distance / 2 - SPLIT_GAP }
  const chosen = { ...fresh, radius: distance / 2 }
  return { entries: [...replaceNearest(cut), chosen], chosen, distance }
}

/** What the training of a value needs to know. */
interface ValueJob {
  readonly chosen: Entry
  /** Where the value is written. */
  readonly place: Position
  readonly hparams: GraceHparams
}

/** Trains an entry's value on a request that has the target's loss. Each loss is the one before its step. */
async function trainValue(
  model: LanguageModel,
  request: Pick<RunRequest, 'tokens' | 'resume' | 'loss'>,
  { chosen, place, hparams }: ValueJob,
  ctx: Context,
): Promise<{ value: Float32Array; losses: number[] }> {
  const site = `mlp-output.${hparams.layer}` as const
  const value = tensor(chosen.value.slice(), [1, chosen.value.length])
  const adam = createAdam(value.data.length, hparams.learningRate)
  const losses: number[] = []
  for (let step = 0; step < hparams.steps; step++) {
    ctx.signal.throwIfAborted()
    const write = [{ site, mode: 'replace', value, at: [place] }] as const
    const { loss, gradient } = await differentiate(model, { ...request, write }, site)
    adam.step(value.data, gradient.data)
    losses.push(loss)
    ctx.progress({ task: 'codebook value', done: step + 1, total: hparams.steps, unit: 'steps' })
  }
  return { value: value.data, losses }
}

/** A cold start: uniform in [0, 1) (`val_init: cold`). */
function drawValue(width: number, random: Random): Float32Array {
  return Float32Array.from({ length: width }, () => random.uniform())
}

/** The entries of the latest codebook at a layer. */
function readEntries(history: readonly Patch[], layer: number): Entry[] {
  const books = history.flatMap(({ parts }) => parts).filter((part) => part.kind === 'codebook')
  const book = books.findLast((part) => part.layer === layer)
  return (book?.labels ?? []).map((label, i) => ({
    key: rowOf(book?.keys, i),
    value: rowOf(book?.values, i),
    radius: book?.radii.data[i] ?? 0,
    label,
  }))
}

function rowOf(matrix: Tensor | undefined, row: number): Float32Array {
  const width = matrix?.shape[1] ?? 0
  return matrix?.data.slice(row * width, (row + 1) * width) ?? new Float32Array()
}

function writeEntries(layer: number, entries: readonly Entry[]): CodebookPart {
  const join = (rows: readonly Float32Array[]) => {
    const width = rows[0]?.length ?? 0
    const data = new Float32Array(rows.length * width)
    rows.forEach((row, i) => {
      data.set(row, i * width)
    })
    return tensor(data, [rows.length, width])
  }
  return {
    kind: 'codebook',
    layer,
    keys: join(entries.map(({ key }) => key)),
    values: join(entries.map(({ value }) => value)),
    radii: tensor(
      Float32Array.from(entries, ({ radius }) => radius),
      [entries.length],
    ),
    labels: entries.map(({ label }) => label),
  }
}

function isSameLabel(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, i) => id === other[i])
}
