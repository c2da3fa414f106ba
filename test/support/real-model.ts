/** SmolLM2-135M-Instruct, where this machine has it: `models pull smollm2-135m` brings it, and `npm test` tries to. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { modelPlaces } from '../../src/commands/support/places.ts'
import { WhicheditError } from '../../src/errors.ts'
import { loadModel, type OpenModel } from '../../src/models/index.ts'
import { testContext } from './tiny-model.ts'

// The command's own cache on Linux: the model is converted to 32 bits once, for tests and commands together.
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'whichedit')

/** Opens the model, or returns the reason why it cannot be had here. Close it. */
export async function openRealModel(): Promise<OpenModel | string> {
  try {
    return await loadModel('smollm2-135m', modelPlaces(), testContext({ cacheDir: CACHE }))
  } catch (error) {
    if (error instanceof WhicheditError && error.code === 'E_MODEL_UNKNOWN') return error.message
    throw error
  }
}
