/**
 * Sentences as vectors, by a model made for that (Reimers & Gurevych 2019, arXiv 1908.10084; MiniLM: Wang et al. 2020, arXiv
 * 2002.10957): the mean of an encoder's last hidden states over a sentence's tokens, scaled to length one. Related sentences have
 * a high cosine.
 */

import { WhicheditError } from '../errors.ts'
import { input } from '../graph/graph.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { reshape } from '../graph/ops/shape.ts'
import type { SessionOptions } from '../graph/session.ts'
import { unitRows } from '../tensor/linalg.ts'
import { tensor } from '../tensor/tensor.ts'
import { plainAttention } from './attention.ts'
import { bert } from './bert.ts'
import { chunksByLength } from './chunks.ts'
import { matchWeights } from './declared-weights.ts'
import type { JsonObject } from './json.ts'
import type { FoundModel } from './locate.ts'
import { mergePatches } from './merged-patch.ts'
import type { SentenceEncoder } from './model.ts'
import { equalShares } from './positions.ts'
import { openScope, runLayers } from './scope.ts'
import { Sessions } from './sessions.ts'
import type { ModelFiles } from './weights.ts'
import { inputFeeds } from './window.ts'

/** Every architecture of encoders, by name. */
export const ENCODERS = { bert }

/** An encoder that owns native memory until it is closed. */
export type OpenSentenceEncoder = SentenceEncoder & {
  /** Frees the session. */
  close(): Promise<void>
}

/** Tokens of a sentence at most: what MiniLM was trained on. */
const MOST_TOKENS = 256
/** Tokens encoded at once: enough to fill the products. */
const CHUNK_TOKENS = 1024

/** The architecture of an encoder's configuration. @throws E_ARCHITECTURE for one that is not supported. */
export function encoderOf(config: JsonObject): typeof bert {
  const type = String(config.model_type)
  const architecture = Object.values(ENCODERS).find(({ modelTypes }) => modelTypes.includes(type))
  if (architecture === undefined) {
    throw new WhicheditError('E_ARCHITECTURE', { type, known: Object.keys(ENCODERS).join(', ') })
  }
  return architecture
}

/**
 * Opens an encoder that was found. Its tokenizer is made and its graph compiled when it is first asked: most work asks it nothing.
 * @throws E_ARCHITECTURE, E_CONFIG, E_WEIGHT, E_SHAPE
 */
export function openSentenceEncoder(found: FoundModel, options: SessionOptions = {}): OpenSentenceEncoder {
  const architecture = encoderOf(found.config)
  const network = architecture.open(found.config)
  matchWeights(network, found.weights, architecture)
  let opened: Promise<ModelFiles> | null = null
  const open = (): Promise<ModelFiles> => {
    opened ??= found.open()
    return opened
  }
  const sessions = new Sessions(options)
  const { width } = network.config
  const limit = Math.min(MOST_TOKENS, network.config.contextLength)

  const encodeRows = async (files: ModelFiles, rows: readonly Int32Array[]): Promise<Float32Array> => {
    const session = await sessions.get('sentences', () => {
      const weights = matchWeights(network, files.weights, architecture)
      const attention = plainAttention(network)
      const scope = openScope({ network, weights, patch: mergePatches([]), fed: new Map(), attention })
      const hidden = reshape(runLayers(network, scope, { part: 'encoder' }), ['B', 'I', width])
      const shares = reshape(input('shares', ['B', 'I']), ['B', 1, 'I'])
      return { mean: matmul(shares, hidden) } // [B, 1, D]
    })
    const I = Math.max(...rows.map((row) => row.length))
    const feeds = { ...inputFeeds(network, rows), shares: equalShares(rows, I) }
    const { mean } = await session.run(feeds, { sizes: { B: rows.length, I } })
    return Float32Array.from(mean?.data ?? [], Number)
  }

  return {
    name: found.name,
    id: found.fingerprint,
    width,
    async vectors(texts) {
      const files = await open()
      const all = await Promise.all(texts.map(async (text) => cut((await files.tokenizer.encode(text)).ids, limit)))
      const data = new Float32Array(texts.length * width)
      for (const chunk of chunksByLength(all, (ids) => ids.length, CHUNK_TOKENS)) {
        const rows = await encodeRows(
          files,
          chunk.map(({ item }) => item),
        )
        chunk.forEach(({ index }, i) => {
          data.set(rows.subarray(i * width, (i + 1) * width), index * width)
        })
      }
      return unitRows(tensor(data, [texts.length, width]))
    },
    close: () => sessions.close(),
  }
}

/** A long sentence keeps its beginning and its last token, which ends every sentence. */
function cut(ids: Int32Array, limit: number): Int32Array {
  return ids.length <= limit ? ids : Int32Array.of(...ids.subarray(0, limit - 1), ids.at(-1) ?? 0)
}
