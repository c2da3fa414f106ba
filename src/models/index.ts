/** Finds a model and opens it; the list of architectures. */
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'
import type { SessionOptions } from '../graph/session.ts'
import type { Architecture, Network } from './architecture.ts'
import { inChat } from './chat-template.ts'
import { matchWeights } from './declared-weights.ts'
import { gemma } from './gemma.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3 } from './gemma3.ts'
import { gptNeox } from './gpt-neox.ts'
import { gpt2 } from './gpt2.ts'
import { gptj } from './gptj.ts'
import type { JsonObject } from './json.ts'
import { openLanguageModel } from './language-model.ts'
import { llama } from './llama.ts'
import { describeInHub, type FindOptions, type FoundModel, findModel, type ModelPlaces } from './locate.ts'
import { mistral } from './mistral.ts'
import type { LanguageModel } from './model.ts'
import { opt } from './opt.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'
import { openSentenceEncoder } from './sentence-encoder.ts'
import { Sessions } from './sessions.ts'
import { t5 } from './t5.ts'
import type { ModelFiles } from './weights.ts'

/** Every architecture, by name. */
export const ARCHITECTURES = {
  gpt2,
  gptj,
  'gpt-neox': gptNeox,
  opt,
  llama,
  mistral,
  qwen2,
  qwen3,
  phi3,
  gemma,
  gemma2,
  gemma3,
  t5,
} satisfies Record<string, Architecture>

/** A model that owns native memory until it is closed. */
export type OpenModel = LanguageModel & {
  /** Frees the sessions; the model and its edited forms cannot be used afterwards. */
  close(): Promise<void>
}

/** How a model is opened. */
export interface OpenOptions extends SessionOptions, FindOptions {
  /** Ask it through its chat template. */
  readonly chat?: boolean
}

/** Name of the encoder that finds related sentences where this machine has it. */
export const ENCODER = 'minilm'

/**
 * Finds a model by path or name and opens it, with the encoder of sentences that this machine has.
 * @throws E_MODEL_UNKNOWN, E_ARCHITECTURE, E_CONFIG, E_CHAT_TEMPLATE and what reading its files raises
 */
export async function loadModel(
  reference: string,
  places: ModelPlaces,
  ctx: Context,
  { chat = false, memoryBytes, ...options }: OpenOptions = {},
): Promise<OpenModel> {
  const files = await findModel(reference, ctx, places, memoryBytes === undefined ? {} : { memoryBytes })
  return openModel(chat ? inChat(files) : files, { ...options, encoder: await findEncoder(ctx, places) })
}

/** The encoder of sentences, not opened yet; null where this machine has none. */
export async function findEncoder(ctx: Context, places: ModelPlaces): Promise<FoundModel | null> {
  return (await describeInHub(ENCODER, ctx, places)) ?? null
}

/** The architecture of a configuration. @throws E_ARCHITECTURE for one that is not supported. */
export function architectureOf(config: JsonObject): Architecture {
  const type = String(config.model_type)
  const architecture = Object.values<Architecture>(ARCHITECTURES).find(({ modelTypes }) => modelTypes.includes(type))
  if (architecture === undefined) {
    throw new WhicheditError('E_ARCHITECTURE', { type, known: Object.keys(ARCHITECTURES).join(', ') })
  }
  return architecture
}

/** A model's network by its configuration, once its weights' shapes are known to fit; their names as the network has them. */
export function openNetwork<W extends { readonly shape: readonly number[] }>(
  config: ModelFiles['config'],
  found: ReadonlyMap<string, W>,
): { network: Network; weights: ReadonlyMap<string, W> } {
  const architecture = architectureOf(config)
  const network = architecture.open(config)
  return { network, weights: matchWeights(network, found, architecture) }
}

/** Opens a model whose files were found. @throws E_ARCHITECTURE, E_CONFIG, E_WEIGHT, E_SHAPE */
export function openModel(
  files: ModelFiles,
  { encoder: found, ...options }: SessionOptions & { readonly encoder?: FoundModel | null } = {},
): OpenModel {
  const { network, weights } = openNetwork(files.config, files.weights)
  const sessions = new Sessions(options)
  const encoder = found ? openSentenceEncoder(found, options) : null
  const model = openLanguageModel({ ...files, weights }, { network, weights, sessions }, encoder)
  return {
    ...model,
    async close() {
      await Promise.all([sessions.close(), encoder?.close()])
    },
  }
}
