import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import { traceLayers } from '../../src/evidence/proposed-layers.ts'
import type { Fact } from '../../src/facts/fact.ts'
import { readFacts } from '../../src/facts/index.ts'
import { loadModel, type OpenModel } from '../../src/models/index.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

let model: OpenModel
let facts: readonly Fact[]
beforeAll(async () => {
  // Of the models at hand the one that knows something.
  model = await loadModel('atlas', { hubCache: '' }, testContext(), { threads: 1 })
  facts = (await readFacts('world:prepare')).facts
})
afterAll(() => model.close())

/** A model that counts how often it is run. */
function counted(): { model: OpenModel; runs: () => number } {
  let runs = 0
  const run: OpenModel['run'] = (request) => {
    runs++
    return model.run(request)
  }
  return { model: { ...model, run }, runs: () => runs }
}

const tracesOf = ({ cacheDir }: Context) => readdirSync(join(cacheDir, 'traces')).sort()

describe('tracing', () => {
  test('proposes layers by facts that the model knows, once', async () => {
    const ctx = testContext()
    const proposed = await traceLayers(model, facts, 2, ctx)
    expect(proposed?.facts).toBe(2)
    // Its first two layers have no feed-forward to speak of.
    expect(proposed?.peak).toBeGreaterThanOrEqual(2)
    expect(tracesOf(ctx)).toHaveLength(2)
    const again = counted()
    expect(await traceLayers(again.model, facts, 2, ctx)).toEqual(proposed)
    // The subjects' embeddings alone.
    expect(again.runs()).toBe(1)
  })

  test('goes on with the next fact where it was stopped', async () => {
    const stop = new AbortController()
    const ctx = testContext({
      signal: stop.signal,
      progress: ({ task }) => task === 'tracing' && stop.abort(new Error('enough')),
    })
    await expect(traceLayers(model, facts, 2, ctx)).rejects.toThrow('enough')
    const [kept] = tracesOf(ctx)
    expect(tracesOf(ctx)).toHaveLength(1)
    const { signal } = new AbortController()
    const whole = counted()
    const traced = await traceLayers(whole.model, facts, 2, { ...ctx, signal, progress: () => {} })
    expect(tracesOf(ctx)).toContain(kept)
    // One fact: its clean run, its noisy one, and one for each layer.
    expect(whole.runs()).toBe(1 + 2 + model.config.layers)
    expect(traced).toEqual(await traceLayers(model, facts, 2, testContext()))
  })

  test('makes what is kept anew where it cannot be understood', async () => {
    const ctx = testContext()
    const proposed = await traceLayers(model, facts, 1, ctx)
    const [name = ''] = tracesOf(ctx)
    writeFileSync(join(ctx.cacheDir, 'traces', name), '{"clean": 1')
    expect(await traceLayers(model, facts, 1, ctx)).toEqual(proposed)
  })

  test('leaves out a fact whose subject ends inside a token', async () => {
    const [fact] = facts.filter(
      ({ prompt, targetOld }) => prompt.startsWith('The capital of') && targetOld !== undefined,
    )
    if (fact === undefined) throw new Error('no fact about a capital')
    const [start, end] = fact.subjectSpan
    const split = { ...fact, subjectSpan: [start, end - 1] as const }
    expect(await traceLayers(model, [split], 1, testContext())).toBeNull()
  })

  test('says nothing of a model that knows none of the facts', async () => {
    const tiny = await openTinyModel()
    expect(await traceLayers(tiny, facts, 1, testContext())).toBeNull()
    await tiny.close()
  })
})
