/**
 * What a model holds of many facts: each fact's key at one layer, averaged over the prefixes before its prompt, and its state
 * at another, where a value was sought for it.
 *
 *   kᵢ = ½ k(bare prompt) + ½ mean over prefixes of k(prefix + prompt)        hᵢ: of the first prompt alone
 *
 * Meng et al. 2023, §4.3; reference code kmeng01/memit `memit/compute_ks.py`, matched: there the bare prompt is
 * a kind of its own beside the sampled prefixes, and each kind weighs the same.
 */
import { WhicheditError } from '../../errors.ts'
import type { Fact } from '../../facts/fact.ts'
import { chunksByLength } from '../../models/chunks.ts'
import { type Footprint, forwardBytes } from '../../models/footprint.ts'
import type { LanguageModel } from '../../models/model.ts'
import { prefixesOffStart, promptAfter, type SubjectTokens, tokenizeSubject } from './subject.ts'

/** A fact with the prompts in which a model is to meet its subject. */
export interface PromptedFact {
  readonly fact: Fact
  /** Text put before the prompt; the empty one, if it is among them, comes first. */
  readonly prefixes: readonly string[]
  /** One for each prefix. */
  readonly texts: readonly SubjectTokens[]
  /** What each text counts for in the key; together 1. */
  readonly weights: readonly number[]
}

/** What {@link readStates} gives. */
export interface FactStates {
  /** [N, F] */
  readonly keys: Float64Array
  /** [N, D] */
  readonly states: Float64Array
}

/** Where keys and states are read. */
export interface StatePlaces {
  /** The layer whose keys are read. */
  readonly layer: number
  /** Where the states are. */
  readonly site: `${'mlp-output' | 'block-output'}.${number}`
}

/** Tokens of one run: enough to fill the products, little enough memory. */
const READ_TOKENS = 2048
/** Positions that each of them attends to: a prefix and a prompt. */
const ROW_TOKENS = 24

/** Puts prefixes before a fact's prompt; those that leave its subject the first token of a text are left out where others do not. */
export async function promptFact(
  { tokenizer }: Pick<LanguageModel, 'tokenizer'>,
  fact: Fact,
  prefixes: readonly string[],
): Promise<PromptedFact> {
  const textAfter = (prefix: string) => promptAfter(prefix, fact)
  const kept = await prefixesOffStart(tokenizer, prefixes, textAfter)
  const sampled = kept.filter((prefix) => prefix !== '').length
  const kinds = sampled === 0 || sampled === kept.length ? 1 : 2
  return {
    fact,
    prefixes: kept,
    texts: await Promise.all(kept.map((prefix) => tokenizeSubject(tokenizer, textAfter(prefix)))),
    weights: kept.map((prefix) => 1 / kinds / (prefix === '' ? 1 : sampled)),
  }
}

/** What reading takes. */
export function readStatesMemory(model: Footprint): number {
  return forwardBytes(model, { tokens: READ_TOKENS, attended: ROW_TOKENS, logits: 0 })
}

/** Reads keys and states of facts, as many at a time as fill a run. */
export async function readStates(
  model: LanguageModel,
  { layer, site }: StatePlaces,
  facts: readonly PromptedFact[],
  signal: AbortSignal,
): Promise<FactStates> {
  const { mlpWidth, width } = model.config
  const keys = new Float64Array(facts.length * mlpWidth)
  const states = new Float64Array(facts.length * width)
  const rowsOf = ({ texts }: PromptedFact) => texts.map((text) => upToSubject(model, text))
  const tokensOf = (fact: PromptedFact) => Math.max(...rowsOf(fact).map((row) => row.length)) * fact.texts.length
  for (const chunk of chunksByLength(facts, tokensOf, READ_TOKENS)) {
    signal.throwIfAborted()
    const all = chunk.flatMap(({ item, index }) =>
      item.texts.map(({ subject }, i) => ({ index, subject, weight: item.weights[i] ?? 0, isFirst: i === 0 })),
    )
    const at = all.map(({ subject }, row) => ({ row, token: subject }))
    const { reads } = await model.run({
      tokens: { rows: chunk.flatMap(({ item }) => rowsOf(item)) },
      read: [
        { site: `mlp-inner.${layer}`, at },
        { site, at: at.filter((_, row) => all[row]?.isFirst) },
      ],
    })
    const [ofKeys, ofStates] = reads
    if (ofKeys === undefined || ofStates === undefined) {
      throw new WhicheditError('E_INTERNAL', { what: `states of ${site}: the model gave none` })
    }
    all.forEach(({ index, weight }, row) => {
      for (let j = 0; j < mlpWidth; j++) {
        const to = index * mlpWidth + j
        keys[to] = (keys[to] ?? 0) + weight * (ofKeys.data[row * mlpWidth + j] ?? 0)
      }
    })
    chunk.forEach(({ index }, i) => {
      states.set(ofStates.data.subarray(i * width, (i + 1) * width), index * width)
    })
  }
  return { keys, states }
}

/** A text as far as its subject: what follows it cannot change what is read there, but in an encoder, which sees all. */
function upToSubject({ config }: LanguageModel, { ids, subject }: SubjectTokens): Int32Array {
  return config.encoderLayers > 0 ? ids : ids.subarray(0, subject + 1)
}
