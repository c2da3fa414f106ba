import { readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readMlpInputs } from '../../../src/editors/steps/mlp-inputs.ts'
import type { LanguageModel } from '../../../src/models/model.ts'
import { TEXT } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

const TOKENS = 64

test.each(['tiny-llama', 'tiny-t5'] as const)('%s: a row for each position, the same from the cache', async (name) => {
  const model = await openTinyModel(name)
  let runs = 0
  const counted: LanguageModel = {
    ...model,
    run(request) {
      runs += 1
      return model.run(request)
    },
  }
  const layer = model.config.layers - 1
  const ctx = testContext()
  const job = { model: counted, text: TEXT, layer, tokens: TOKENS }
  const found = await readMlpInputs(job, ctx)
  expect(found.shape[1]).toBe(model.config.width)
  // A decoder has half of each row, and the position that predicts its first token.
  const rows = found.shape[0] ?? 0
  if (name === 'tiny-llama') expect(rows).toBeGreaterThan(TOKENS - 2)
  else expect(rows).toBeGreaterThan(TOKENS / 2 - 2)
  expect(runs).toBe(1)
  expect(await readMlpInputs(job, ctx)).toEqual(found)
  expect(runs).toBe(1)

  const folder = join(ctx.cacheDir, 'mlp-inputs')
  for (const file of readdirSync(folder)) truncateSync(join(folder, file), 7)
  expect(await readMlpInputs(job, ctx)).toEqual(found)
  expect(runs).toBe(2)
  expect(await readMlpInputs({ ...job, layer: layer - 1 }, ctx)).not.toEqual(found)
  await model.close()
})

test('stops between two chunks when told to', async () => {
  const model = await openTinyModel()
  const stop = new AbortController()
  stop.abort(new Error('stopped by the user'))
  const job = { model, text: TEXT, layer: 0, tokens: TOKENS }
  await expect(readMlpInputs(job, testContext({ signal: stop.signal }))).rejects.toThrow('stopped by the user')
  await model.close()
})
