import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'
import { countTests, findConflicts } from '../../src/facts/summary.ts'

const { facts } = parseFacts(
  JSON.stringify([
    {
      subject: 'a',
      prompt: '{} is',
      targetNew: '1',
      tests: { paraphrases: ['p', 'q'], aliases: [{ prompt: 'x', targets: 'y' }] },
    },
    { subject: 'a', prompt: '{} is', targetNew: '2', tests: { paraphrases: ['r'] } },
    { subject: 'a', prompt: '{} was', targetNew: '2' },
    { subject: 'b', prompt: '{} is', targetNew: '1' },
  ]),
  'f',
)

test('counts facts and prompts of each kind', () => {
  const none = { facts: 0, prompts: 0 }
  expect(countTests(facts)).toEqual({
    paraphrases: { facts: 2, prompts: 3 },
    neighbours: none,
    otherRelations: none,
    aliases: { facts: 1, prompts: 1 },
    reversed: none,
    oneHop: none,
  })
})

test('finds edits of one prompt to different targets', () => {
  expect(findConflicts(facts)).toEqual([[facts[0], facts[1]]])
  expect(findConflicts(facts.slice(1))).toEqual([])
})
