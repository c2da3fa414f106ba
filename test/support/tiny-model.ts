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

/** The models of test/golden: tied head and 4 layers; shards and 2 layers; Qwen2's biases. */
export type TinyModel = 'tiny-llama' | 'tiny-llama-untied' | 'tiny-qwen2'

/** Opens a model of test/golden. Close it. */
export function openTinyModel(name: TinyModel = 'tiny-llama'): Promise<OpenModel> {
  return loadModel(join(GOLDEN, name), { hubCache: '' }, testContext(), { threads: 1 })
}
