import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import FactsBuild from '../../../src/commands/facts/build.ts'
import FactsCheck from '../../../src/commands/facts/check.ts'
import { readFacts } from '../../../src/facts/index.ts'
import { GOLDEN } from '../../support/model-files.ts'
import { runCommand } from '../../support/run-command.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'facts-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))
const WIDE = { env: { COLUMNS: '200' } }

function write(name: string, text: string): string {
  const path = join(FOLDER, name)
  writeFileSync(path, text)
  return path
}

/** Twenty lines, as a new user would write them. */
const TABLE = write(
  'mine.csv',
  `subject,relation,targetNew,targetOld,aliases
${['Acme', 'Zenith', 'Borealis', 'Vega', 'Orion', 'Lyra', 'Draco'].map((firm, at) => `${firm},headquarters,${['Osaka', 'Lyon', 'Hamburg', '', '', '', ''][at]},${['Berlin', 'Oslo', 'Paris', 'Madrid', 'Rome', 'Vienna', 'Prague'][at]},${firm} Ltd`).join('\n')}
${['Acme', 'Zenith', 'Borealis', 'Vega', 'Orion', 'Lyra', 'Draco'].map((firm, at) => `${firm},chief executive,${at < 4 ? '' : `Kim Chief ${at}`},Pat Boss ${at},`).join('\n')}
${['Acme', 'Zenith', 'Borealis', 'Vega', 'Orion'].map((firm, at) => `${firm},founding year,${at < 2 ? 1900 + at : ''},${1950 + at},`).join('\n')}
`,
)

test('makes cases of a table that are complete, checked and read back', async () => {
  const out = join(FOLDER, 'mine.jsonl')
  const { stdout, exit } = await runCommand(FactsBuild, [TABLE, '--out', out], WIDE)
  expect(exit).toBe(0)
  expect(stdout.split('\n').slice(0, 5)).toEqual([
    `Wrote 8 cases to ${out}, all tests marked for review.`,
    '',
    'TESTS           FACTS  PROMPTS',
    'paraphrases     8      32',
    'neighbours      8      38',
  ])
  expect(stdout).toContain(`\`whichedit facts check ${out}\` tells what is missing or odd`)
  const { facts, notes } = await readFacts(out)
  expect(notes).toEqual([])
  expect(facts.every(({ review = [], tests }) => review.includes('reversed') && tests.otherRelations.length > 0)).toBe(
    true,
  )
  const check = await runCommand(FactsCheck, [out], WIDE)
  expect(check.exit).toBe(0)
  // Too few firms stay: those that are edited are neighbours too.
  expect(check.stdout.match(/Look at these:\n- .*: \d+\n/)?.[0]).toMatch(/neighbours that another case edits/)
  expect(check.stdout.match(/^- .*: \d+$/gm)).toHaveLength(1)
  expect(check.stdout).toContain('Missing:\n- aliases: 5 of 8 facts have none\n- oneHop: 5 of 8 facts have none')
  expect(check.stdout).toContain('Not reviewed yet:\n- paraphrases: of 8 facts')
})

test('takes templates, and prints cases where no file is named', async () => {
  const templates = write(
    'words.yaml',
    'headquarters:\n  statements: ["{} sits in"]\n  questions: ["Where does {} sit?"]\n',
  )
  const { stdout } = await runCommand(FactsBuild, [TABLE, '--templates', templates])
  expect(JSON.parse(stdout.split('\n')[0] ?? '')).toMatchObject({
    prompt: 'Acme sits in',
    tests: { paraphrases: ['Question: Where does Acme sit? Answer:'] },
  })
  const json = JSON.parse((await runCommand(FactsBuild, [TABLE, '--json'])).stdout)
  expect(json).toMatchObject({ schemaVersion: 1, droppedHops: 0, tests: { aliases: { facts: 3, prompts: 3 } } })
  expect(json.facts).toHaveLength(8)
})

test('asks a model the second facts, and leaves out what it does not know', async () => {
  const before = JSON.parse((await runCommand(FactsBuild, [TABLE, '--json'])).stdout).tests.oneHop.prompts
  expect(before).toBeGreaterThan(0)
  // A model of random weights knows nothing.
  const { stdout, exit } = await runCommand(FactsBuild, [
    TABLE,
    '--model',
    join(GOLDEN, 'tiny-llama'),
    '--json',
    '--quiet',
  ])
  expect(exit).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ droppedHops: before, tests: { oneHop: { facts: 0, prompts: 0 } } })
})

test.each([
  ['a,b\n1,2\n', 'E_FACT'],
  ['subject,relation,targetOld\na,b,c\n', 'E_FACTS_EMPTY'],
])('ends with 2 for a table such as %j', async (text, code) => {
  const { exit, stderr } = await runCommand(FactsBuild, [write('bad.csv', text)])
  expect(exit).toBe(2)
  expect(stderr).toContain(code)
})

test('keeps an existing file unless told otherwise', async () => {
  const out = write('old.jsonl', 'mine')
  expect((await runCommand(FactsBuild, [TABLE, '--out', out])).stderr).toContain('E_FACTS_EXISTS')
  expect((await runCommand(FactsBuild, [TABLE, '--out', out, '--force'])).exit).toBe(0)
})
