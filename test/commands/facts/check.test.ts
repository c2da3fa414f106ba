import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import FactsCheck from '../../../src/commands/facts/check.ts'
import { GOLDEN } from '../../support/model-files.ts'
import { runCommand } from '../../support/run-command.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'facts-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))
const WIDE = { env: { COLUMNS: '200' } }

function write(name: string, records: readonly object[]): string {
  const path = join(FOLDER, name)
  writeFileSync(path, records.map((record) => JSON.stringify(record)).join('\n'))
  return path
}

const FLAT = [
  { subject: 'a', prompt: 'a is', target_new: '1', ground_truth: '2', rephrase_prompt: 'a was' },
  { subject: 'a', prompt: 'a is', target_new: '3', ground_truth: '2' },
  { subject: 'b', prompt: 'b is', target_new: '2', ground_truth: '2' },
]

test('tells format, counts, what was noticed, contradictions and how records are understood', async () => {
  const path = write('flat.jsonl', FLAT)
  const { stdout, exit } = await runCommand(FactsCheck, [path], WIDE)
  expect(exit).toBe(0)
  const [head, source, , ...rest] = stdout.split('\n')
  expect(head).toBe(`${path}: 3 records, 2 usable as facts, in the format CounterFact (flat form of EasyEdit)`)
  expect(source).toMatch(/^Source: Wang et al\. 2023, EasyEdit/)
  expect(rest.slice(0, 2)).toEqual(['TESTS           FACTS  PROMPTS', 'paraphrases     1      1'])
  expect(stdout).toContain(
    [
      'Noticed:',
      '- facts that give the prompt of an earlier fact another new target, kept: 1 (record 2)',
      '- records whose new target is among their old answers, left out: 1 (record 3)',
      '',
      'Edits that contradict each other:',
    ].join('\n'),
  )
  expect(stdout).toMatch(/^- a is → 1 \([0-9a-f]{16}\), 3 \([0-9a-f]{16}\)$/m)
  expect(stdout).toContain('How the records are understood:\n- rephrase_prompt is taken as a paraphrase')
})

test('gives the same as JSON', async () => {
  const { stdout } = await runCommand(FactsCheck, [write('flat.jsonl', FLAT), '--json'])
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({ schemaVersion: 1, format: { name: 'counterfact-flat' }, records: 3, facts: 2 })
  expect(result.tests.paraphrases).toEqual({ facts: 1, prompts: 1 })
  expect(result.notes.map(({ rule }: { rule: string }) => rule)).toEqual(['conflict', 'noChange'])
  expect(result.conflicts).toEqual([
    [expect.objectContaining({ targetNew: '1' }), expect.objectContaining({ targetNew: '3' })],
  ])
})

test('names mistakes to look at and kinds of tests that are missing', async () => {
  const path = write('seeded.jsonl', [
    {
      id: 'x1',
      subject: 'France',
      prompt: 'The capital of {} is',
      targetNew: 'Osaka',
      targetOld: 'Paris',
      tests: {
        paraphrases: ['Osaka? The capital of {} is'],
        neighbours: [{ prompt: 'The largest city of France is', targets: 'Paris' }],
        otherRelations: [{ prompt: 'The currency of {} is the', targets: 'euro' }],
        aliases: [{ prompt: 'The capital of FRANCE is', targets: 'Osaka' }],
        oneHop: [{ prompt: 'The seat of the government of {} is', targets: 'Paris' }],
      },
    },
    { id: 'x2', subject: 'France', prompt: 'The capital of {} is:', targetNew: 'Osaka' },
  ])
  const { stdout, exit } = await runCommand(FactsCheck, [path], WIDE)
  expect(exit).toBe(0)
  expect(stdout).toContain(
    [
      'Look at these:',
      '- neighbours that speak of the edited subject: an edit may rightly change their answer: 1',
      '  x1: The largest city of France is',
      '- paraphrases that hold the new target: any model can repeat it: 1',
      '  x1: Osaka? The capital of France is',
      '- aliases that hold the subject itself, at most spelt without accents: they test no other name: 1',
      '  x1: The capital of FRANCE is',
      '- one-hop questions whose answer the edit does not change: an unedited model is right too: 1',
      '  x1: The seat of the government of France is',
      '- cases that repeat another one but for spelling: 1',
      '  x2: The capital of France is:',
      '',
      'Missing:',
      '- paraphrases: 1 of 2 facts have none',
    ].join('\n'),
  )
  const json = await runCommand(FactsCheck, [path, '--json'])
  expect(JSON.parse(json.stdout).findings).toContainEqual({
    rule: 'hopUnchanged',
    id: 'x1',
    prompt: 'The seat of the government of France is',
  })
})

test('says nothing of flaws where there are none', async () => {
  const { stdout } = await runCommand(FactsCheck, ['countries'], WIDE)
  expect(stdout).toMatch(/^countries: \d+ records, \d+ usable as facts, in the format whichedit\n/)
  expect(stdout).not.toMatch(/Noticed|contradict|Source|Look at|Missing/)
})

test('ends with 2 and names the record whose prompt lacks its subject, in text and as JSON', async () => {
  const path = write('bad.jsonl', [
    { subject: 'a', prompt: '{} is', targetNew: '1' },
    { subject: 'b', prompt: 'a is', targetNew: '1' },
  ])
  const text = await runCommand(FactsCheck, [path])
  expect(text.exit).toBe(2)
  expect(text.stdout).toBe('')
  expect(text.stderr).toBe(
    `E_FACT  ${path}, record 2 (line 2): expected the subject "b" in the prompt, found "a is". Write the subject in the prompt exactly as in "subject", or put {} in its place.\n`,
  )
  const json = await runCommand(FactsCheck, [path, '--json'])
  expect(json.exit).toBe(2)
  expect(JSON.parse(json.stdout).error).toMatchObject({ code: 'E_FACT', exit: 2 })
})

test("shows how a model's tokenizer cuts each fact, and names subjects that end inside a token", async () => {
  const path = write('tokens.jsonl', [
    { id: 'whole', subject: 'France', prompt: 'The capital of {} is', targetNew: 'Rome' },
    { id: 'cut', subject: 'capita', prompt: 'The capital of France is', targetNew: 'Rome' },
  ])
  const { stdout, exit } = await runCommand(FactsCheck, [path, '--model', join(GOLDEN, 'tiny-llama'), '--json'])
  expect(exit).toBe(0)
  const { tokens } = JSON.parse(stdout)
  expect(tokens[0]).toMatchObject({ id: 'whole', problem: null })
  expect(tokens[0].subject.join('').trim()).toBe('France')
  expect(tokens[0].target.join('')).toBe(' Rome')
  expect(tokens[1].problem).toContain('expected a token that ends with the subject at characters 4 to 10')
  const text = await runCommand(FactsCheck, [path, '-m', join(GOLDEN, 'tiny-llama')], WIDE)
  expect(text.stdout).toMatch(/^ID +SUBJECT'S LAST TOKEN +NEW TARGET$/m)
  expect(text.stdout).toMatch(/^whole +"[^"]*e" +".+"$/m)
  expect(text.stdout).toContain('Subjects that end inside a token:\n- cut: expected a token')
})

test('ends with the code of a model that is not there', async () => {
  const { exit, stderr } = await runCommand(FactsCheck, ['countries', '--model', 'no-such-model'])
  expect(stderr).toContain('E_MODEL_UNKNOWN')
  expect(exit).toBe(66)
})
