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

/** Opens a model of test/golden: `tiny-llama` (tied head, 4 layers) or `tiny-llama-untied` (shards, 2 layers). Close it. */
export function openTinyModel(name: 'tiny-llama' | 'tiny-llama-untied' = 'tiny-llama'): Promise<OpenModel> {
  return loadModel(join(GOLDEN, name), { hubCache: '' }, testContext(), { threads: 1 })
}
