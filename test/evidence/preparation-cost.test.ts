import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { rememberCost } from '../../src/evidence/preparation-cost.ts'

let cacheDir: string
beforeEach(() => {
  cacheDir = mkdtempSync(join(tmpdir(), 'whichedit-cost-'))
})
afterEach(() => rmSync(cacheDir, { recursive: true }))

test('a preparation found in the cache costs what it took when it was made', async () => {
  const identity = ['model', 'method', 1, { steps: 2 }, null]
  expect(await rememberCost(cacheDir, identity, { seconds: 40, peakBytes: 900 })).toEqual({
    seconds: 40,
    peakBytes: 900,
  })
  expect(await rememberCost(cacheDir, identity, { seconds: 0.1, peakBytes: 950 })).toEqual({
    seconds: 40,
    peakBytes: 950,
  })
  expect(await rememberCost(cacheDir, identity, { seconds: 0.1, peakBytes: 10 })).toEqual({
    seconds: 40,
    peakBytes: 950,
  })
})

test('another model, method or setting has costs of its own', async () => {
  await rememberCost(cacheDir, ['model', 'method', { steps: 2 }], { seconds: 40, peakBytes: 900 })
  const other = { seconds: 1, peakBytes: 1 }
  expect(await rememberCost(cacheDir, ['model', 'method', { steps: 3 }], other)).toEqual(other)
})

test.each(['', '{"seconds":"x"}', '{"seconds":-1,"peakBytes":0}'])('a file of %j remembers nothing', async (text) => {
  const cost = { seconds: 1, peakBytes: 1 }
  await rememberCost(cacheDir, [], { seconds: 9, peakBytes: 9 })
  const folder = join(cacheDir, 'preparation-costs')
  writeFileSync(join(folder, readdirSync(folder)[0] ?? ''), text)
  expect(await rememberCost(cacheDir, [], cost)).toEqual(cost)
})
