import { expect, test } from 'vitest'
import { checkFacts } from '../../../src/editors/steps/check-facts.ts'
import type { Fact } from '../../../src/facts/fact.ts'

const fact: Fact = {
  id: 'a',
  subject: 'France',
  prompt: 'The capital of France is',
  subjectSpan: [15, 21],
  targetNew: 'Rome',
  tests: { paraphrases: [], neighbours: [], otherRelations: [], aliases: [], reversed: [], oneHop: [] },
}

test('gives the facts back', () => {
  expect(checkFacts({ title: 'X', batch: 'one' }, [fact])).toEqual([fact])
  expect(checkFacts({ title: 'X', batch: 'many' }, [fact, fact])).toEqual([fact, fact])
})

test.each([
  { batch: 'one', facts: [], code: 'E_NO_FACTS', says: 'X has nothing to edit' },
  { batch: 'many', facts: [], code: 'E_NO_FACTS', says: 'expected at least one fact' },
  { batch: 'one', facts: [fact, fact], code: 'E_BATCH', says: 'X edits one fact at a time, found 2' },
] as const)('refuses $facts.length facts for batch: $batch with $code', ({ batch, facts, code, says }) => {
  const check = () => checkFacts({ title: 'X', batch }, facts)
  expect(check).toThrow(expect.objectContaining({ code, exit: 2 }))
  expect(check).toThrow(says)
})
