/**
 * IKE: the fact is put before the prompt as text, after demonstrations that show what to do with such a fact.
 *
 *   C = demonstrations nearest last, each "New Fact: x y\nPrompt: x′ y′\n\n"; the model answers C + "New Fact: f\nPrompt: " + prompt
 *
 * x, y prompt and new target of a demonstration's fact; (x′, y′) by its kind:
 *   copy    the same prompt, the new target        (the fact itself has changed)
 *   update  a paraphrase, the new target           (and so have its other wordings)
 *   retain  a neighbour's prompt, its true target  (but nothing else has)
 * in the ratio 1 : 3 : 4 of the paper, in random order. The k nearest facts by sentence vector (cosine of "x y") give one
 * demonstration each; a fact that lacks the prompts of its kind is passed over. f is the edit's "prompt target"; unless switched
 * off, it also stands as the last demonstration, a copy. With no demonstrations and no copy the method is ICE.
 *
 * Zheng et al. 2023. Reference code: PKUnlp-icler/IKE `icl.py`, matched in texts, ratio and order; its retrieval uses a sentence
 * encoder, ours too where there is one, else the model's hidden states. ICE as in zjunlp/EasyEdit `models/ike` with `use_icl_examples: false`.
 */
import type { Fact } from '../facts/fact.ts'
import { forwardBytes, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel } from '../models/model.ts'
import type { Retrieval } from '../models/patch.ts'
import { sentenceVectors, vectorSource } from '../models/sentence-vectors.ts'
import type { Random } from '../tensor/random.ts'
import { rowsOf, type Tensor } from '../tensor/tensor.ts'
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { contextBytes, type Draft, makeEntries, stateFact } from './steps/fact-memory.ts'
import { cachedSentenceVectors, orderByCosine } from './steps/sentence-vectors.ts'

/** Settings of IKE. */
export type IkeHparams = {
  readonly demonstrations: number
  readonly copyFact: boolean
  readonly tokens: number
  readonly layer: number
}

/** Facts to demonstrate with, and their sentence vectors [N, D]. */
export interface IkePrepared {
  readonly pool: readonly Fact[]
  readonly vectors: Tensor
}

/** What a demonstration shows. */
type Kind = 'copy' | 'update' | 'retain'

/** Of every eight demonstrations, the first is a copy, the next three are updates, the rest retain (the paper's 1 : 3 : 4). */
const COPY_SHARE = 1 / 8
const UPDATE_SHARE = 3 / 8
/** Tokens of the model's context kept free for the prompt and its answer. */
const RESERVED_TOKENS = 256

/** Positions of sentences that are made into vectors at once, and those of one sentence. */
const SENTENCES_TOKENS = 1024
const SENTENCE_TOKENS = 32
/** A demonstration's tokens: a fact, a prompt and an answer. */
const DEMONSTRATION_TOKENS = 48

/** In-context knowledge editing. */
export const ike: Editor<IkeHparams, IkePrepared> = {
  name: 'ike',
  title: 'IKE',
  summary:
    'Changes nothing in the model: tells it the new fact before every question, after examples of how to use it.',
  version: 4,
  paper: {
    authors: 'Zheng et al.',
    year: 2023,
    title: 'Can We Edit Factual Knowledge by In-Context Learning?',
    url: 'https://arxiv.org/abs/2305.12740',
    code: 'https://github.com/PKUnlp-icler/IKE',
  },
  family: 'in-context',
  batch: 'many',
  needs: ['sentence-vectors', 'training-facts'],
  hparams: {
    demonstrations: {
      meaning: 'demonstrations before a prompt, where there are facts for so many',
      unit: 'demonstrations',
      range: [0, 64],
      whole: true,
      reference: 'k',
    },
    copyFact: {
      meaning: 'whether the fact itself is the last demonstration',
      unit: 'yes or no',
      reference: 'the line icl_examples.append in icl.py',
    },
    tokens: {
      meaning: 'most tokens of the text before a prompt; the farthest demonstrations give way',
      unit: 'tokens',
      range: [1, 1_000_000],
      whole: true,
      reference: 'none: the reference has no limit',
    },
    layer: {
      meaning: 'layer whose output gives the sentence vectors, where there is no encoder of sentences',
      unit: 'layer',
      reference: 'none: the reference has a sentence encoder',
    },
  },

  memory(model, { demonstrations, tokens }) {
    const work = { tokens: SENTENCES_TOKENS, attended: SENTENCE_TOKENS, logits: 0 }
    const sentences = forwardBytes(model, work)
    const prepareBytes = sessionBytes(model, 1) + sentences
    const shown = Math.min(tokens, demonstrations * DEMONSTRATION_TOKENS)
    return { prepareBytes, heldBytes: sentences, editBytes: 0, queryBytes: contextBytes(model, shown) }
  },

  async prepare({ model, hparams, material }, ctx) {
    const pool = hparams.demonstrations > 0 ? material.facts : []
    const source = vectorSource(model, hparams.layer)
    return { pool, vectors: await cachedSentenceVectors(model, source, pool.map(stateFact), ctx) }
  },

  async edit({ model, facts, hparams, prepared }, ctx) {
    const drafts: Draft[] = []
    const counts: number[] = []
    let longest = 0
    const source = vectorSource(model, hparams.layer)
    const vectors = rowsOf(prepared.vectors)
    for (const fact of checkFacts(ike, facts)) {
      ctx.signal.throwIfAborted()
      const query = await sentenceVectors(model, source, [stateFact(fact)])
      const random = ctx.random.stream(`ike demonstrations ${fact.id}`)
      const shown = demonstrate(prepared.pool, orderByCosine(vectors, query), hparams.demonstrations, random)
      const { before, tokens, kept } = await fitContext(model, fact, shown, hparams)
      drafts.push({ fact, compared: fact.prompt, before, after: '' })
      counts.push(kept)
      longest = Math.max(longest, tokens)
    }
    const retrieval: Retrieval = { by: 'cosine', vectors: source, above: null }
    return {
      parts: [{ kind: 'context', retrieval, confirmation: null, entries: await makeEntries(model, retrieval, drafts) }],
      report: {
        demonstrationFacts: prepared.pool.length,
        fewestDemonstrations: Math.min(...counts),
        mostTokens: longest,
      },
    }
  },
}

/** Demonstrations of up to `count` facts of the pool, in the order given: nearest first. */
function demonstrate(pool: readonly Fact[], order: readonly number[], count: number, random: Random): string[] {
  const unused = order.flatMap((i) => pool[i] ?? [])
  const shown: string[] = []
  for (const kind of random.shuffle(kindsOf(count))) {
    const at = unused.findIndex((fact) => questionsOf(fact, kind).length > 0)
    const [fact] = at < 0 ? [] : unused.splice(at, 1)
    if (fact === undefined) continue
    const questions = questionsOf(fact, kind)
    shown.push(demonstration(fact, questions[random.integer(questions.length)] ?? ''))
  }
  return shown
}

function kindsOf(count: number): Kind[] {
  const copies = Math.round(count * COPY_SHARE)
  const updates = Math.round(count * UPDATE_SHARE)
  return Array.from({ length: count }, (_, i) => (i < copies ? 'copy' : i < copies + updates ? 'update' : 'retain'))
}

/** The questions with answers that a fact offers for a kind of demonstration. */
function questionsOf(fact: Fact, kind: Kind): string[] {
  if (kind === 'copy') return [stateFact(fact)]
  if (kind === 'update') return fact.tests.paraphrases.map((prompt) => `${prompt} ${fact.targetNew}`)
  return fact.tests.neighbours.map(({ prompt, targets }) => `${prompt} ${targets[0]}`)
}

function demonstration(fact: Fact, answered: string): string {
  return `New Fact: ${stateFact(fact)}\nPrompt: ${answered}\n\n`
}

/** The text before a prompt, with as many of the demonstrations (nearest first) as the model and the settings have room for. */
async function fitContext(
  model: LanguageModel,
  fact: Fact,
  shown: readonly string[],
  hparams: IkeHparams,
): Promise<{ before: string; tokens: number; kept: number }> {
  const limit = Math.min(hparams.tokens, model.config.contextLength - RESERVED_TOKENS)
  const copy = hparams.copyFact ? demonstration(fact, stateFact(fact)) : ''
  for (let kept = shown.length; ; kept--) {
    const nearestLast = shown.slice(0, kept).reverse().join('')
    const before = `${nearestLast}${copy}New Fact: ${stateFact(fact)}\nPrompt: `
    const { ids } = await model.tokenizer.encode(before)
    if (ids.length <= limit || kept === 0) return { before, tokens: ids.length, kept }
  }
}
