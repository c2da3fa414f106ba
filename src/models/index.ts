/** Finds a model and opens it; the list of architectures. */
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'
import type { SessionOptions } from '../graph/session.ts'
import type { Architecture } from './architecture.ts'
import { openLanguageModel } from './language-model.ts'
import { llama } from './llama.ts'
import { findModel, type ModelPlaces } from './locate.ts'
import type { LanguageModel } from './model.ts'
import { Sessions } from './sessions.ts'
import type { ModelFiles } from './weights.ts'

/** Every architecture, by name. */
export const ARCHITECTURES = { llama } satisfies Record<string, Architecture>

/** A model that owns native memory until it is closed. */
export type OpenModel = LanguageModel & {
  /** Frees the sessions; the model and its edited forms cannot be used afterwards. */
  close(): Promise<void>
}

/**
 * Finds a model by path or name and opens it.
 * @throws E_MODEL_UNKNOWN, E_ARCHITECTURE, E_CONFIG and what reading its files raises
 */
export async function loadModel(
  reference: string,
  places: ModelPlaces,
  ctx: Context,
  options: SessionOptions = {},
): Promise<OpenModel> {
  return openModel(await findModel(reference, ctx, places), options)
}

/** Opens a model whose files were found. @throws E_ARCHITECTURE, E_CONFIG */
export function openModel(files: ModelFiles, options: SessionOptions = {}): OpenModel {
  const type = String(files.config.model_type)
  const architecture = Object.values(ARCHITECTURES).find(({ modelTypes }) => modelTypes.includes(type))
  if (architecture === undefined) {
    throw new WhicheditError('E_ARCHITECTURE', { type, known: Object.keys(ARCHITECTURES).join(', ') })
  }
  const network = architecture.open(files.config)
  const sessions = new Sessions(options)
  const model = openLanguageModel(files, { network, weights: files.weights, sessions })
  return { ...model, close: () => sessions.close() }
}
