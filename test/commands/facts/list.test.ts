import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import FactsList from '../../../src/commands/facts/list.ts'
import { runCommand } from '../../support/run-command.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'facts-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))
const WIDE = { env: { COLUMNS: '200' } }

function write(name: string, text: string): string {
  const path = join(FOLDER, name)
  writeFileSync(path, text)
  return path
}

test('lists the built-in sets', async () => {
  const { stdout, exit } = await runCommand(FactsList, [], WIDE)
  expect(exit).toBe(0)
  const [head, ...sets] = stdout.split('\n')
  expect(head).toBe('SET            FACTS  ABOUT')
  expect(sets[0]).toMatch(/^world:probe {4}\d{3,4} +countries, cities, .*: the part for trying methods$/)
  expect(sets[4]).toMatch(/^world {10}3\d{3} +all of world$/)
  expect(sets[5]).toMatch(/^countries {6}\d+ +capitals, currencies and languages of countries$/)
})

test('lists the facts of a file', async () => {
  const path = write(
    'one.json',
    '[{"id":"a1","subject":"France","prompt":"The capital of {} is","targetNew":"Osaka","tests":{"paraphrases":["{}"]}}]',
  )
  const { stdout } = await runCommand(FactsList, [path], WIDE)
  expect(stdout).toBe(
    [
      'ID  SUBJECT  NEW TARGET  TESTS  PROMPT',
      'a1  France   Osaka       1      The capital of France is',
      '',
      '1 fact in the format whichedit.',
      '',
    ].join('\n'),
  )
})

test('gives facts as JSON that can be read again', async () => {
  const { stdout } = await runCommand(FactsList, ['countries', '--json'])
  const { schemaVersion, format, facts } = JSON.parse(stdout)
  expect([schemaVersion, format]).toEqual([1, 'whichedit'])
  const again = await runCommand(FactsList, [write('again.json', JSON.stringify(facts)), '--json'])
  expect(JSON.parse(again.stdout).facts).toEqual(facts)
})

test('lets no control character of a file through', async () => {
  const path = write(
    'hostile.json',
    '{"id":"\\u001b[2J","subject":"a\\u202e","prompt":"{} is\\r\\nx","targetNew":"\\u0007b"}',
  )
  const { stdout } = await runCommand(FactsList, [path], WIDE)
  expect(stdout).toContain('\\u001b[2J  a\\u202e  \\u0007b')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the point
  expect(stdout.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u202e]/)
})

test('ends with 66 where there is no such file', async () => {
  const { stderr, exit } = await runCommand(FactsList, [join(FOLDER, 'none')])
  expect(exit).toBe(66)
  expect(stderr).toContain('E_FACTS_MISSING')
  expect(stderr).toContain('take a built-in set: world:probe')
})
