import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runBin } from '../support/run-command.ts'

const MODEL = fileURLToPath(new URL('../golden/tiny-llama', import.meta.url))
const FACTS = ['France', 'Spain', 'Italy', 'Japan'].map((subject, index) => ({
  subject,
  prompt: 'The capital of {} is',
  targetNew: `City${index}`,
  tests: {
    paraphrases: ['{} is ruled from'],
    neighbours: [{ prompt: 'The capital of Chile is', targets: ['Santiago'] }],
  },
}))

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'whichedit-advise-'))
  writeFileSync(join(cwd, 'facts.json'), JSON.stringify(FACTS))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

const where = (env: Readonly<Record<string, string | undefined>> = {}) => ({
  cwd,
  env: { XDG_CACHE_HOME: join(cwd, 'cache'), XDG_CONFIG_HOME: join(cwd, 'config'), ...env },
})
const advise = (...more: string[]) => adviseOn(MODEL, ...more)
const adviseOn = (model: string, ...more: string[]) =>
  runBin(
    ['advise', '--model', model, '--facts', 'facts.json', '--cases', '2', '--methods', 'none,grace', ...more],
    where(),
  )

describe('with nobody to ask', () => {
  test('names every answer that is missing, and ends with 2', async () => {
    const { stdout, stderr, exit } = await runBin(['advise'], where())
    expect({ stdout, exit }).toEqual({ stdout: '', exit: 2 })
    expect(stderr).toContain('E_MISSING_INPUT  nobody can be asked here')
    expect(stderr).toContain('these are missing: --profile (or --weights, or --order).')
  })

  test('takes answers from the environment', async () => {
    const { stderr } = await runBin(['advise'], where({ WHICHEDIT_MODEL: 'm', WHICHEDIT_WEIGHTS: 'locality=1' }))
    expect(stderr).toContain('E_MODEL_UNKNOWN  no model m:')
  })

  test('needs no profile where the project has one', async () => {
    writeFileSync(join(cwd, 'whichedit.yaml'), 'schema: whichedit/profile@1\nweights: {locality: 1}\n')
    const { stderr } = await runBin(['advise', '--model', 'm'], where())
    expect(stderr).toContain('E_MODEL_UNKNOWN  no model m:')
  })

  test.each([
    [['--model', MODEL, '--chat', '--facts', 'facts.json', '--profile', 'balanced'], 2, 'E_CHAT_TEMPLATE'],
    [['--model', 'no-such-model', '--facts', 'facts.json', '--profile', 'balanced'], 66, 'E_MODEL_UNKNOWN'],
    [['--model', MODEL, '--facts', 'no-such-file.json', '--profile', 'balanced'], 66, 'E_FACTS_MISSING'],
    [['--model', MODEL, '--facts', 'facts.json', '--weights', 'locality=-1'], 2, 'E_WEIGHTS'],
    [['--model', MODEL, '--facts', 'facts.json', '--weights', 'locality=1', '--order', 'locality'], 2, 'E_USAGE'],
    [['--model', MODEL, '--facts', 'facts.json', '--profile', 'balanced', '--methods', 'rmoe'], 2, 'E_METHOD'],
  ])('%j ends with %d', async (flags, exit, code) => {
    const outcome = await runBin(['advise', ...flags, '--json'], where())
    expect(outcome.exit).toBe(exit)
    expect(JSON.parse(outcome.stdout)).toMatchObject({ schemaVersion: 1, error: { code, exit } })
  })
})

describe('on a small model', () => {
  test('probes, ranks, saves the profile, and says which command repeats it', async () => {
    const model = join(cwd, 'chatty')
    cpSync(MODEL, model, { recursive: true })
    writeFileSync(
      join(model, 'chat_template.jinja'),
      '{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}',
    )
    const { stdout } = await adviseOn(
      model,
      '--chat',
      '--order',
      'locality,reliability',
      '--max-memory',
      '16 GiB',
      '--save',
      'mine.yaml',
    )
    expect(stdout).toContain(
      `whichedit advise --model ${model} --facts facts.json --cases 2 --methods none,grace --seed 0 --profile mine.yaml --chat --no-input`,
    )
    expect(stdout).toContain('model chatty (chat) ')
    expect(readFileSync(join(cwd, 'mine.yaml'), 'utf8')).toMatch(/title: My balanced\n[\s\S]*locality: 75/)
    // Never over another: refused before any work.
    const again = await advise('--order', 'efficiency', '--save', 'mine.yaml')
    expect(again).toMatchObject({ exit: 2, stdout: '' })
    expect(again.stderr).toContain('E_PROFILE_EXISTS')
  })

  test('gives the ranking as JSON, progress aside', async () => {
    const { stdout, stderr } = await advise('--profile', 'balanced', '--json')
    const { schemaVersion, profile, model, runs, ranking } = JSON.parse(stdout)
    expect(schemaVersion).toBe(1)
    expect(profile.title).toBe('Balanced')
    expect(model.name).toBe('tiny-llama')
    expect(runs).toHaveLength(1)
    expect(ranking.map(({ method }: { method: string }) => method).sort()).toEqual(['grace', 'none'])
    expect(stderr).toContain('grace: 2/2')
  })
})
