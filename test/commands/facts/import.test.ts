import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import FactsCheck from '../../../src/commands/facts/check.ts'
import FactsImport from '../../../src/commands/facts/import.ts'
import { readFacts } from '../../../src/facts/index.ts'
import { runCommand } from '../../support/run-command.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'facts-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

const FILE = join(FOLDER, 'flat.json')
writeFileSync(
  FILE,
  JSON.stringify([
    { subject: 'a', prompt: 'a is', target_new: '1\u001b[2J', ground_truth: '2', rephrase_prompt: 'a was' },
    { subject: 'b', prompt: 'b is', target_new: '2', ground_truth: '2' },
  ]),
)

test('writes facts that are read back as they were, and tells what was left out', async () => {
  const out = join(FOLDER, 'new', 'mine.jsonl')
  const { stdout, exit } = await runCommand(FactsImport, [FILE, '--out', out])
  expect(exit).toBe(0)
  expect(stdout).toBe(
    `Wrote 1 fact of 2 records in the format CounterFact (flat form of EasyEdit) to ${out}.
- records whose new target is among their old answers, left out: 1 (record 2)
\`whichedit facts check ${out}\` looks them through.
`,
  )
  const { format, facts } = await readFacts(out)
  expect(format.name).toBe('whichedit')
  expect(facts).toEqual((await readFacts(FILE)).facts)
  expect((await runCommand(FactsCheck, [out])).exit).toBe(0)
})

test('keeps an existing file unless told otherwise', async () => {
  const out = join(FOLDER, 'old.jsonl')
  writeFileSync(out, 'mine')
  const refused = await runCommand(FactsImport, [FILE, '--out', out])
  expect(refused.exit).toBe(2)
  expect(refused.stderr).toContain(`E_FACTS_EXISTS  expected a new file, found ${out}.`)
  expect(readFileSync(out, 'utf8')).toBe('mine')
  expect((await runCommand(FactsImport, [FILE, '--out', out, '--force'])).exit).toBe(0)
  expect(readFileSync(out, 'utf8')).toContain('"targetNew"')
})

test('prints the facts where no file is named, control characters as escapes', async () => {
  const { stdout } = await runCommand(FactsImport, [FILE])
  expect(JSON.parse(stdout)).toMatchObject({ subject: 'a', targetNew: '1\u001b[2J' })
  expect(stdout).not.toContain('\u001b')
  const json = await runCommand(FactsImport, [FILE, '--json'])
  expect(JSON.parse(json.stdout)).toMatchObject({ format: 'counterfact-flat', records: 2, facts: [{ subject: 'a' }] })
})

const DATA = '../shared/data'
if (!existsSync(DATA)) console.log(`skipped: the published sets are not at ${DATA}`)

test.skipIf(!existsSync(DATA)).each([
  ['counterfact.json', 384],
  ['zsre_mend.json', 585],
  ['knowedit_wiki_recent.json', 415],
  ['mquake_cf_hard.json', 341],
  ['pararel.json', 1150],
])('converts %s without loss', async (name, count) => {
  const out = join(FOLDER, name)
  const { stdout } = await runCommand(FactsImport, [`${DATA}/${name}`, '--out', out, '--json'])
  expect(JSON.parse(stdout).facts).toBe(count)
  expect((await readFacts(out)).facts).toEqual((await readFacts(`${DATA}/${name}`)).facts)
})
