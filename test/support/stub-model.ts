/**
 * A language model that answers from a table: an implementation of the interface for what asks models, not of what models
 * compute. A token is a word. A patch overrides answers: see `makeStubPatch`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { Patch } from '../../src/models/patch.ts'
import { zeros } from '../../src/tensor/tensor.ts'

/** A patch that makes a stub model answer a prompt so. */
export function makeStubPatch(answers: Readonly<Record<string, string>>, report: Patch['report'] = {}): Patch {
  const entries = Object.entries(answers).map((entry) => ({
    key: entry[0],
    sentence: '',
    vector: zeros([1]),
    before: JSON.stringify(entry),
    after: '',
  }))
  return {
    parts: [
      { kind: 'context', retrieval: { by: 'cosine', vectors: { layer: 0 }, above: null }, confirmation: null, entries },
    ],
    report,
  }
}

/** What a stub model is made of. */
export interface StubOptions {
  readonly answers: Readonly<Record<string, string>>
  /** Each call takes so long. */
  readonly delayMs?: number
  /** Prompts asked so far, of this model and its edited forms, for tests to count. */
  readonly asked?: string[]
}

/** Makes a stub model. */
export function makeStubModel(options: StubOptions, patches: readonly Patch[] = []): OpenModel {
  const overrides = patches.flatMap(({ parts }) =>
    parts.flatMap((part): [string, string][] =>
      part.kind === 'context' ? part.entries.map(({ before }) => JSON.parse(before)) : [],
    ),
  )
  const answers = new Map([...Object.entries(options.answers), ...overrides])
  const answer = (prompt: string): string => answers.get(prompt) ?? ' nothing.'
  const refuse = (): never => {
    throw new Error('a stub model has no insides')
  }
  const withPatch = (patch: Patch): LanguageModel => makeStubModel(options, [...patches, patch])
  return {
    id: `stub-${patches.length}`,
    name: 'stub',
    config: {
      architecture: 'stub',
      layers: 1,
      encoderLayers: 0,
      width: 1,
      mlpWidth: 1,
      heads: 1,
      kvHeads: 1,
      headWidth: 1,
      vocabulary: 2 ** 16,
      contextLength: 64,
      tiedHead: true,
    },
    notice: null,
    encoder: null,
    tokenizer: {
      endsOfText: [0],
      encode: async (text) => ({ ids: new Int32Array(idsOf(text)), offsets: [] }),
      encodeContinuation: async (text) => new Int32Array(idsOf(text)),
      decode: async () => refuse(),
      decodeContinuation: async () => refuse(),
    },
    patches,
    run: async () => refuse(),
    tokenVectors: async () => refuse(),
    weight: async () => refuse(),
    weightName: refuse,
    hasWeight: refuse,
    weightShape: refuse,
    score: async (queries) => {
      await sleep(options.delayMs ?? 0)
      return queries.map(({ prompt, target }) => {
        const ids = idsOf(target)
        const said = idsOf(answer(prompt))
        const argmax = ids.map((_, index) => said[index] ?? 0)
        return { ids, argmax, logProbs: ids.map((id, index) => (id === argmax[index] ? -0.1 : -3)) }
      })
    },
    generate: async (prompts, { maxNewTokens, signal }) => {
      await sleep(options.delayMs ?? 0)
      signal?.throwIfAborted()
      options.asked?.push(...prompts)
      return prompts.map((prompt) => {
        const words = answer(prompt)
          .split(/(?=\s)/)
          .slice(0, maxNewTokens)
        return { ids: idsOf(words.join('')), text: words.join('') }
      })
    },
    withPatch,
    close: async () => {},
  }
}

/** A number for each word, marks aside. */
function idsOf(text: string): number[] {
  return (text.match(/[\p{L}\p{N}]+/gu) ?? []).map((word) =>
    [...word].reduce((hash, letter) => (hash * 31 + (letter.codePointAt(0) ?? 0)) % 2 ** 16, 7),
  )
}
