import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { formatFacts, writeFacts } from '../../../src/commands/support/fact-file.ts'
import type { Fact } from '../../../src/facts/fact.ts'
import { parseFacts, readFacts } from '../../../src/facts/index.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'facts-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

function makeFact(subject: string, targetNew: string): Fact {
  return {
    id: 'x',
    subject,
    prompt: `${subject} is`,
    subjectSpan: [0, subject.length],
    targetNew,
    tests: { paraphrases: [], neighbours: [], otherRelations: [], aliases: [], reversed: [], oneHop: [] },
  }
}

test('writes nothing that a terminal would obey, and it is read back as it was', () => {
  const odd = fc.constantFrom('\u001b', '\u202e', '\u009b', '\u2028', '\u{e0041}', '\u200b', '"', '\\\\', 'é', '日')
  fc.assert(
    fc.property(fc.array(odd, { minLength: 1 }), (signs) => {
      const fact = makeFact('a', `b${signs.join('')}c`.normalize('NFC'))
      const text = formatFacts([fact])
      expect(text.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      expect(parseFacts(text, 'f').facts).toEqual([fact])
    }),
  )
})

test('writes a file once, and again only when told', async () => {
  const file = join(FOLDER, 'a', 'f.jsonl')
  const facts = [makeFact('a', 'b')]
  await writeFacts(file, facts, false)
  expect((await readFacts(file)).facts).toEqual(facts)
  await expect(writeFacts(file, facts, false)).rejects.toThrow(expect.objectContaining({ code: 'E_FACTS_EXISTS' }))
  await writeFacts(file, [makeFact('a', 'c')], true)
  expect((await readFacts(file)).facts[0]?.targetNew).toBe('c')
})
