import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import TraceCommand from '../../src/commands/trace.ts'
import { GOLDEN, temporaryFolder } from '../support/model-files.ts'
import { runCommand } from '../support/run-command.ts'

const TINY = join(GOLDEN, 'tiny-llama')
const FACT = ['--fact', 'The capital of {France} is']
const trace = (...argv: string[]) => runCommand(TraceCommand, [...argv, '--samples', '2'], { env: { COLUMNS: '100' } })

test('the model that ships recalls a fact above its first layers, at the subject', async () => {
  const { stdout, exit } = await trace(...FACT)
  expect(exit).toBe(0)
  expect(stdout).toMatch(/^residual stream after the layer put back, by token and layer\n {8,}0 {9}5\n/)
  expect(stdout).toMatch(/\n *\*France .*█/)
  expect(stdout).toMatch(/"The capital of France is" → "Paris": \d+ % clean, \d+ % with noise/)
  expect(stdout).toContain('atlas is a demonstration model')
})

test('an average proposes layers, as JSON too', async () => {
  const { stdout } = await trace('--cases', '2', '--json')
  const found = JSON.parse(stdout)
  expect(found).toMatchObject({
    schemaVersion: 1,
    facts: 2,
    model: { name: 'atlas' },
    settings: { samples: 2, noise: 3 },
  })
  expect(found.shares['mlp-output']).toHaveLength(6)
  // Its first two layers have no feed-forward to speak of.
  expect(found.proposed.peak).toBeGreaterThanOrEqual(2)
})

test('writes the maps as a picture', async () => {
  const out = join(temporaryFolder(), 'maps.svg')
  const { stdout } = await trace(TINY, ...FACT, '--answer', 'the', '--out', out)
  expect(stdout).toContain(`Wrote ${out}.`)
  expect(readFileSync(out, 'utf8')).toMatch(/^<svg /)
})

test.each([
  ['a prompt without braces', [TINY, '--fact', 'The capital of France is'], 2, 'E_TRACED_PROMPT'],
  ['two subjects', [TINY, '--fact', '{Paris} is in {France}'], 2, 'E_TRACED_PROMPT'],
  ['another kind of picture', [TINY, ...FACT, '--out', 'maps.png'], 2, 'E_PICTURE'],
  ['a model that knows nothing', [TINY, '--facts', 'countries', '--cases', '1'], 2, 'E_NOTHING_KNOWN'],
  ['an unknown model', ['nowhere', ...FACT], 66, 'E_MODEL_UNKNOWN'],
  ['a fact and facts', [...FACT, '--facts', 'countries'], 2, 'E_USAGE'],
])('refuses %s', async (_, argv, exit, code) => {
  const outcome = await trace(...argv)
  expect(outcome).toMatchObject({ exit, stdout: '' })
  expect(outcome.stderr).toContain(code)
})
