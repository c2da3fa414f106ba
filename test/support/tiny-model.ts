/** The tiny random Llama of test/golden as a real, open model; a Context for tests. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Context } from '../../src/context.ts'
import { loadModel, type OpenModel } from '../../src/models/index.ts'
import { createRandom } from '../../src/tensor/random.ts'

const GOLDEN = fileURLToPath(new URL('../golden/', import.meta.url))

/** A context with a cache folder of its own. */
export function testContext(overrides: Partial<Context> = {}): Context {
  return {
    random: createRandom(1),
    signal: new AbortController().signal,
    progress: () => {},
    cacheDir: mkdtempSync(join(tmpdir(), 'whichedit-test-')),
    now: () => performance.now(),
    ...overrides,
  }
}

/** A context that stops its work when a progress event says so many are done; to the work, half a minute passes at each look at the clock. */
export function contextStoppedAt(steps: number): Context {
  const stop = new AbortController()
  let ms = 0
  return testContext({
    signal: stop.signal,
    progress: ({ done }) => {
      if (done === steps) stop.abort()
    },
    // A save at every step.
    now: () => {
      ms += 30_000
      return ms
    },
  })
}

/** The models of test/golden; tools/golden/tiny_llama.py and tiny_models.py say what is particular about each. */
export const TINY_MODELS = [
  'tiny-llama',
  'tiny-llama-untied',
  'tiny-qwen2',
  'tiny-gpt2',
  'tiny-gpt2-scaled',
  'tiny-gptj',
  'tiny-gptj-whole',
  'tiny-gpt-neox',
  'tiny-gpt-neox-serial',
  'tiny-opt',
  'tiny-opt-post-norm',
  'tiny-llama3',
  'tiny-llama-yarn',
  'tiny-llama-linear',
  'tiny-llama-dynamic',
  'tiny-mistral',
  'tiny-mistral-whole',
  'tiny-qwen2-window',
  'tiny-qwen3',
  'tiny-qwen3-biased',
  'tiny-phi3',
  'tiny-phi3-long',
  'tiny-gemma',
  'tiny-gemma-wide',
  'tiny-gemma2',
  'tiny-gemma2-plain',
  'tiny-gemma3',
  'tiny-gemma3-scaled',
  'tiny-t5',
  'tiny-t5-gated',
] as const

/** A model of test/golden. */
export type TinyModel = (typeof TINY_MODELS)[number]

/** Opens a model of test/golden. Close it. */
export function openTinyModel(name: TinyModel = 'tiny-llama'): Promise<OpenModel> {
  return loadModel(join(GOLDEN, name), { hubCache: '' }, testContext(), { threads: 1 })
}
