/** Where things lie on this machine: models where other tools look for them too, runs in the project. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ModelPlaces } from '../../models/known.ts'

/** The runs of a project, in the folder the command is run in. */
export const RUNS_FOLDER = join('.whichedit', 'runs')

/** The Hugging Face cache, as its own tools find it: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, the home folder. */
export function modelPlaces(): ModelPlaces {
  const { HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env
  if (HF_HUB_CACHE) return { hubCache: HF_HUB_CACHE }
  return { hubCache: join(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface'), 'hub') }
}
