import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { FACT_READERS, FACT_SETS, parseFacts, readFacts } from '../../src/facts/index.ts'
import type { NoiseRule } from '../../src/facts/normalise.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'facts-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

function write(name: string, bytes: string | Uint8Array): string {
  const path = join(FOLDER, name)
  writeFileSync(path, bytes)
  return path
}

function makeFolder(name: string): string {
  const path = join(FOLDER, name)
  mkdirSync(path, { recursive: true })
  return path
}

const FACT = '{"subject":"France","prompt":"The capital of France is","targetNew":"Osaka"}'

test('registers each reader under its own name', () => {
  for (const [name, reader] of Object.entries(FACT_READERS)) expect(reader.name).toBe(name)
})

test('reads every built-in set', async () => {
  for (const name of Object.keys(FACT_SETS)) {
    const { file, facts, notes } = await readFacts(name)
    expect(file).toBe(name)
    expect(facts.length).toBeGreaterThanOrEqual(60)
    expect(notes).toEqual([])
  }
})

test('reads a file that begins with a byte-order mark', async () => {
  const { facts } = await readFacts(write('bom.jsonl', `\ufeff${FACT}`))
  expect(facts).toHaveLength(1)
})

test('gives the same facts and ids each time', async () => {
  const path = write('again.jsonl', FACT)
  expect(await readFacts(path)).toEqual(await readFacts(path))
})

test('says how to write a record when none of the formats fits', () => {
  const error = expect.objectContaining({ code: 'E_FACTS_FORMAT', exit: 2 })
  expect(() => parseFacts('\n[{"a":1}]', 'f.json')).toThrow(error)
  expect(() => parseFacts('\n[{"a":1}]', 'f.json')).toThrow(
    /^f\.json, record 1 \(line 2\): expected .*\n {2}whichedit: subject.*found an object with a\. The simplest record is/s,
  )
})

test('refuses records of two formats in one file, naming the first that differs', () => {
  const flat = '{"subject":"a","prompt":"a is","target_new":"b"}'
  expect(() => parseFacts(`${flat}\n${FACT}`, 'f')).toThrow(
    'record 2 (line 2): expected a record of CounterFact (flat form of EasyEdit) like the first one, found one of whichedit',
  )
  expect(() => parseFacts(`${flat}\n{"b":1}`, 'f')).toThrow('found an object with b')
  expect(() => parseFacts(`${flat}\n3`, 'f')).toThrow('record 2 (line 2): expected a JSON object, found 3')
})

test.each([
  ['nothing', ''],
  ['blanks', ' \n\t'],
  ['an empty list', '[]'],
  ['records that are all left out', '[{"subject":"a","src":"a?","alt":"b","answers":["b"]}]'],
])('refuses a file of %s', (_, text) => {
  expect(() => parseFacts(text, 'f')).toThrow(expect.objectContaining({ code: 'E_FACTS_EMPTY', exit: 2 }))
})

test.each([
  ['a text', '"x"'],
  ['a number', '17'],
  ['null', 'null'],
  ['a list of lists', '[[1]]'],
])('refuses %s', (_, text) => {
  expect(() => parseFacts(text, 'f')).toThrow(/expected a JSON object, found/)
})

test('never ends in anything but facts or an error with a code, whatever the records hold', () => {
  const odd: unknown[] = [
    null,
    0,
    '',
    '{}',
    [],
    {},
    [[]],
    'a\u0000\u001b[2J\u202e',
    '\ud800',
    -0.5,
    [{ prompt: 1 }],
    'a is',
  ]
  const fields = [
    'subject',
    'prompt',
    'targetNew',
    'target_new',
    'tests',
    'portability',
    'locality',
    'src',
    'alt',
    'requested_rewrite',
  ]
  let read = 0
  for (const field of fields) {
    for (const value of odd) {
      for (const base of [
        {},
        { subject: 'a', prompt: 'a is', targetNew: 'b' },
        { subject: 'a', prompt: 'a is', target_new: 'b' },
      ]) {
        try {
          read += parseFacts(JSON.stringify([{ ...base, [field]: value }]), 'f').facts.length
        } catch (error) {
          expect(error).toMatchObject({ name: 'WhicheditError', exit: 2 })
        }
      }
    }
  }
  expect(read).toBeGreaterThan(20)
})

test('tells a missing file (66), names the built-in sets, and never makes one up from the prototype', async () => {
  const error = expect.objectContaining({ code: 'E_FACTS_MISSING', exit: 66 })
  await expect(readFacts(join(FOLDER, 'none.json'))).rejects.toThrow(error)
  await expect(readFacts('constructor')).rejects.toThrow('or take a built-in set: world:probe')
})

test.each([
  ['a folder', () => makeFolder('folder'), 'EISDIR'],
  ['bytes that are not UTF-8', () => write('latin1.json', new Uint8Array([0x22, 0xe9, 0x22])), 'it is not UTF-8 text'],
  ['UTF-16', () => write('utf16.json', Buffer.from(`\ufeff${FACT}`, 'utf16le')), 'it is not UTF-8 text'],
])('tells why %s cannot be read', async (_, make, reason) => {
  const path = make()
  await expect(readFacts(path)).rejects.toThrow(expect.objectContaining({ code: 'E_FACTS_UNREADABLE', exit: 66 }))
  await expect(readFacts(path)).rejects.toThrow(reason)
})

// Root may read everything.
test.skipIf(process.getuid?.() === 0)('tells that a file may not be read', async () => {
  const path = write('secret.json', FACT)
  chmodSync(path, 0)
  await expect(readFacts(path)).rejects.toThrow(expect.objectContaining({ code: 'E_FACTS_UNREADABLE' }))
})

const DATA = '../shared/data'
if (!existsSync(DATA)) console.log(`skipped: the published sets are not at ${DATA}`)

interface Published {
  readonly file: string
  readonly format: string
  readonly records: number
  readonly facts: number
  readonly flaws: Partial<Record<NoiseRule, number>>
}

const PUBLISHED: readonly Published[] = [
  { file: 'counterfact.json', format: 'counterfact', records: 384, facts: 384, flaws: { sameTest: 2 } },
  { file: 'counterfact_easyedit.json', format: 'counterfact-flat', records: 600, facts: 600, flaws: { conflict: 1 } },
  { file: 'counterfact_easyedit_paired.json', format: 'counterfact-flat', records: 384, facts: 384, flaws: {} },
  { file: 'zsre_mend.json', format: 'zsre', records: 600, facts: 585, flaws: { noChange: 14, noTarget: 1 } },
  {
    file: 'knowedit_zsre.json',
    format: 'knowedit',
    records: 988,
    facts: 951,
    flaws: { noChange: 33, conflict: 6, sameEdit: 4 },
  },
  {
    file: 'knowedit_wiki_counterfact.json',
    format: 'knowedit',
    records: 1056,
    facts: 1044,
    flaws: { noChange: 5, sameEdit: 7, editPrompt: 5, noAnswer: 1 },
  },
  {
    file: 'knowedit_wiki_recent.json',
    format: 'knowedit',
    records: 415,
    facts: 415,
    flaws: { sameTest: 40, noAnswer: 4 },
  },
  { file: 'mquake_cf_hard.json', format: 'mquake', records: 150, facts: 341, flaws: { sameEdit: 259 } },
  { file: 'pararel.json', format: 'pararel', records: 1, facts: 1150, flaws: {} },
]

describe.skipIf(!existsSync(DATA))('published sets', () => {
  test.each(PUBLISHED)('$file', async ({ file, format, records, facts, flaws }) => {
    const read = await readFacts(`${DATA}/${file}`)
    expect(read.format.name).toBe(format)
    expect(read.records).toBe(records)
    expect(Object.fromEntries(read.notes.map(({ rule, count }) => [rule, count]))).toEqual(flaws)
    expect(read.facts).toHaveLength(facts)
    expect(new Set(read.facts.map(({ id }) => id)).size).toBe(facts)
    for (const fact of read.facts) {
      expect(fact.prompt.slice(...fact.subjectSpan)).toBe(fact.subject)
      const prompts = [
        fact.prompt,
        ...Object.values(fact.tests)
          .flat()
          .map((each) => (typeof each === 'string' ? each : each.prompt)),
      ]
      for (const prompt of prompts) expect(prompt).toBe(prompt.trim())
    }
  })

  test('the two forms of CounterFact give the same edits', async () => {
    const [original, flat] = await Promise.all(
      ['counterfact.json', 'counterfact_easyedit_paired.json'].map((file) => readFacts(`${DATA}/${file}`)),
    )
    const edits = (facts: typeof original) =>
      facts?.facts.map(({ subject, prompt, subjectSpan, targetNew, targetOld }) =>
        JSON.stringify({ subject, prompt, subjectSpan, targetNew, targetOld }),
      )
    expect(edits(original)?.sort()).toEqual(edits(flat)?.sort())
  })

  test.each([
    ['mmlu.json', 'E_FACTS_FORMAT'],
    ['nq_open_dev.jsonl', 'E_FACTS_FORMAT'],
    ['piqa_valid.jsonl', 'E_FACTS_FORMAT'],
    ['known_1000.json', 'E_FACT'],
    ['wikitext2.txt', 'E_FACT'],
    ['piqa_valid-labels.lst', 'E_FACT'],
  ])('refuses %s, which holds no edits', async (file, code) => {
    await expect(readFacts(`${DATA}/${file}`)).rejects.toThrow(expect.objectContaining({ code, exit: 2 }))
  })
})
