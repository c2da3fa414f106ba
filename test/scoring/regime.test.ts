import { expect, test } from 'vitest'
import { chooseRegime } from '../../src/scoring/regime.ts'

test.each([
  ['single edits, measured so', ['single'], 'single', 1, 'single', false],
  ['a thousand single edits', ['single'], 'single', 1000, 'single', false],
  ['a batch that was not measured', ['single'], 'batch', 1000, 'single', true],
  ['the batch nearest in size', ['single', 'batch-10', 'batch-100'], 'batch', 300, 'batch-100', false],
  ['a batch far beyond the measured', ['batch-10', 'batch-100'], 'batch', 1000, 'batch-100', true],
  ['a stream, not a batch of its size', ['batch-100', 'stream-10#2'], 'stream', 100, 'stream-10#2', true],
  ['single edits where only batches were measured', ['batch-10'], 'single', 1, 'batch-10', true],
  ['any stream before one with SimIE', ['stream-8', 'stream-16+simie'], 'stream', 16, 'stream-8', false],
  ['a stream with SimIE before a batch', ['batch-16', 'stream-16+simie'], 'stream', 16, 'stream-16+simie', false],
  ['no evidence at all', [], 'single', 1, 'single', false],
] as const)('takes %s', (_, names, arrival, edits, regime, isNoted) => {
  const chosen = chooseRegime(names, { arrival, edits })
  expect(chosen.regime).toBe(regime)
  expect(chosen.notes.some((note) => note.includes('extrapolated'))).toBe(isNoted)
})

test('says what was asked and what there is', () => {
  expect(chooseRegime(['single'], { arrival: 'stream', edits: 200 }).notes).toEqual([
    'The workload is a stream of 200; the evidence is of single edits. Scores are extrapolated and probably too high.',
  ])
})

test('says that facts which share a model are not independent', () => {
  expect(chooseRegime(['single', 'stream-16'], { arrival: 'stream', edits: 16 })).toEqual({
    regime: 'stream-16',
    notes: ['The facts of a stream-16 share one edited model: the intervals do not tell how another stream would do.'],
  })
})

test('says that SimIE was at work', () => {
  const { notes } = chooseRegime(['stream-16+simie'], { arrival: 'stream', edits: 16 })
  expect(notes.at(-1)).toBe('SimIE kept earlier edits of the stream: how methods do without it was not measured.')
})

test('passes over a regime that it does not know', () => {
  expect(chooseRegime(['burst-9', 'single'], { arrival: 'batch', edits: 9 }).regime).toBe('single')
})
