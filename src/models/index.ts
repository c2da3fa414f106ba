/** Finds a model and opens it; the list of architectures. */
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'
import type { SessionOptions } from '../graph/session.ts'
import type { Architecture, Network } from './architecture.ts'
import { inChat } from './chat-template.ts'
import { declaredWeights } from './declared-weights.ts'
import { gemma } from './gemma.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3 } from './gemma3.ts'
import { gptNeox } from './gpt-neox.ts'
import { gpt2 } from './gpt2.ts'
import { gptj } from './gptj.ts'
import { openLanguageModel } from './language-model.ts'
import { llama } from './llama.ts'
import { findModel, type ModelPlaces } from './locate.ts'
import { mistral } from './mistral.ts'
import type { LanguageModel } from './model.ts'
import { opt } from './opt.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'
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

/**
 * Finds a model by path or name and opens it.
 * @param options `chat`: ask it through its chat template.
 * @throws E_MODEL_UNKNOWN, E_ARCHITECTURE, E_CONFIG, E_CHAT_TEMPLATE and what reading its files raises
 */
export async function loadModel(
  reference: string,
  places: ModelPlaces,
  ctx: Context,
  { chat = false, ...options }: SessionOptions & { readonly chat?: boolean } = {},
): Promise<OpenModel> {
  const files = await findModel(reference, ctx, places)
  return openModel(chat ? inChat(files) : files, options)
}

/** Opens a model whose files were found. @throws E_ARCHITECTURE, E_CONFIG, E_WEIGHT, E_SHAPE */
export function openModel(files: ModelFiles, options: SessionOptions = {}): OpenModel {
  const type = String(files.config.model_type)
  const architecture = Object.values(ARCHITECTURES).find(({ modelTypes }) => modelTypes.includes(type))
  if (architecture === undefined) {
    throw new WhicheditError('E_ARCHITECTURE', { type, known: Object.keys(ARCHITECTURES).join(', ') })
  }
  const network = architecture.open(files.config)
  const weights = withPrefix(files.weights, architecture.prefix)
  checkWeights(network, weights)
  const sessions = new Sessions(options)
  const model = openLanguageModel({ ...files, weights }, { network, weights, sessions })
  return { ...model, close: () => sessions.close() }
}

/** Checkpoints of a bare model leave out what the names of its weights begin with. */
function withPrefix(weights: ModelFiles['weights'], prefix = ''): ModelFiles['weights'] {
  const isWhole = prefix === '' || [...weights.keys()].some((name) => name.startsWith(prefix))
  return isWhole ? weights : new Map([...weights].map(([name, weight]) => [prefix + name, weight]))
}

function checkWeights(network: Network, weights: ModelFiles['weights']): void {
  for (const [name, shape] of declaredWeights(network)) {
    const found = weights.get(name)
    if (found === undefined) throw new WhicheditError('E_WEIGHT', { name })
    if (found.shape.join() !== shape.join()) {
      const what = `expected [${shape.join(', ')}] by config.json, found [${found.shape.join(', ')}]`
      throw new WhicheditError('E_SHAPE', { where: name, what })
    }
  }
}
