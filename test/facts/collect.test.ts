import { expect, test } from 'vitest'
import { createCollector } from '../../src/facts/collect.ts'
import { counterfactFlat } from '../../src/facts/counterfact-flat.ts'
import { whichedit } from '../../src/facts/whichedit.ts'

const WHERE = { file: 'f', record: 1, line: 1 }
const edit = (subject: string, target: string) => ({
  subject,
  prompt: `${subject} is`,
  target_new: target,
  ground_truth: 'x',
})

function collect(records: readonly object[]) {
  const collector = createCollector(counterfactFlat)
  records.forEach((record, index) => {
    collector.add({ ...record }, { ...WHERE, record: index + 1 })
  })
  return collector.finish()
}

test('keeps facts in the order of their records', () => {
  const { facts, notes } = collect([edit('b', '1'), edit('a', '1'), edit('c', '2')])
  expect(facts.map(({ subject }) => subject)).toEqual(['b', 'a', 'c'])
  expect(notes).toEqual([])
})

test('notes edits that contradict an earlier one and keeps them', () => {
  const { facts, notes } = collect([edit('a', '1'), edit('a', '2'), edit('a', '3'), edit('b', '1')])
  expect(facts).toHaveLength(4)
  expect(notes).toMatchObject([{ rule: 'conflict', count: 2, records: [2, 3] }])
})

test('names the first few records of a note, each once', () => {
  const twice = { ...edit('a', 'x'), target_new: 'x' }
  const { notes } = collect([edit('a', '1'), ...Array.from({ length: 7 }, () => twice)])
  expect(notes).toEqual([
    {
      rule: 'noChange',
      count: 7,
      records: [2, 3, 4, 5, 6],
      text: 'records whose new target is among their old answers, left out: 7 (records 2, 3, 4, 5, 6, …)',
    },
  ])
})

test('refuses in a hand-written file what it only counts in a published one', () => {
  const collector = createCollector(whichedit)
  const record = { subject: 'a', prompt: 'a is', targetNew: 'x', targetOld: 'x' }
  expect(() => collector.add(record, WHERE)).toThrow(expect.objectContaining({ code: 'E_FACT' }))
})
