/** Real models, where this machine has them: `models pull` brings them, and `npm test` tries to bring SmolLM2. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { modelPlaces } from '../../src/commands/support/places.ts'
import { WhicheditError } from '../../src/errors.ts'
import { loadModel, type OpenModel } from '../../src/models/index.ts'
import { testContext } from './tiny-model.ts'

// The command's own cache on Linux: the model is converted to 32 bits once, for tests and commands together.
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'whichedit')

/** Not here, or here without its terms having been agreed to. */
const ABSENT: readonly string[] = ['E_MODEL_UNKNOWN', 'E_TERMS']

/** Opens the model, or returns the reason why it cannot be had here. Close it. */
export async function openRealModel(name = 'smollm2-135m'): Promise<OpenModel | string> {
  try {
    return await loadModel(name, modelPlaces(), testContext({ cacheDir: CACHE }))
  } catch (error) {
    if (error instanceof WhicheditError && ABSENT.includes(error.code)) return error.message
    throw error
  }
}
