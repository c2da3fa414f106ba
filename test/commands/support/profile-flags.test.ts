import { describe, expect, test } from 'vitest'
import {
  formatProfileFlags,
  hasPriorities,
  profileChanges,
  quote,
} from '../../../src/commands/support/profile-flags.ts'
import { CRITERION_NAMES } from '../../../src/scoring/criteria.ts'
import { parseProfile } from '../../../src/scoring/profile.ts'
import { editSettings } from '../../../src/settings.ts'

const BEFORE = 'schema: whichedit/profile@1\nweights: {efficiency: 5}\n'

describe('flags as changes of a profile', () => {
  test('weights replace all weights', async () => {
    const text = editSettings(BEFORE, profileChanges({ weights: 'reliability=30, locality=10' }), 'flags')
    const { weights } = await parseProfile(text, 'flags')
    expect(weights).toEqual({ reliability: 0.75, generalization: 0, locality: 0.25, portability: 0, efficiency: 0 })
  })

  test('an order gives rank order centroid points to those named: .611 .278 .111', async () => {
    const text = editSettings(BEFORE, profileChanges({ order: 'locality,reliability,efficiency' }), 'flags')
    const { weights } = await parseProfile(text, 'flags')
    expect(CRITERION_NAMES.map((name) => Math.round(weights[name] * 1e6) / 1e6)).toEqual([0.28, 0, 0.61, 0, 0.11])
  })

  test('comments of the profile stay, and what is not answered too', async () => {
    const before = 'schema: whichedit/profile@1\n# mine\nweights: {locality: 1} # only this\nworkload: {edits: 7}\n'
    const after = editSettings(before, profileChanges({ queries: 9, 'max-memory': '2 GiB' }), 'mine.yaml')
    expect(after).toContain('# mine')
    expect(after).toContain('# only this')
    const { workload, limits, weights } = await parseProfile(after, 'mine.yaml')
    expect({
      edits: workload.edits,
      queries: workload.queries,
      memory: limits.memory,
      locality: weights.locality,
    }).toEqual({
      edits: 7,
      queries: 9,
      memory: 2 ** 31,
      locality: 1,
    })
  })

  test.each([
    [{ weights: 'reliabilty=1' }, 'did you mean reliability?'],
    [{ weights: 'reliability=-1' }, 'points of 0 and more'],
    [{ weights: 'reliability=0' }, 'a weight above 0'],
    [{ order: 'locality,locality' }, 'each criterion once'],
    [{ order: 'localty' }, 'did you mean locality?'],
  ])('%o is refused: %s', (answers, message) => {
    expect(() => profileChanges(answers)).toThrow(
      expect.objectContaining({ code: 'E_WEIGHTS', message: expect.stringContaining(message) }),
    )
  })
})

test('priorities are weights or an order, not a workload', () => {
  expect([{ weights: 'locality=1' }, { order: 'locality' }, { edits: 3 }, {}].map(hasPriorities)).toEqual([
    true,
    true,
    false,
    false,
  ])
})

test('answers are written as the flags that repeat them, for a shell', () => {
  expect(formatProfileFlags({ weights: 'a=1,b=2', edits: 5, related: undefined, 'max-memory': '16 GiB' })).toEqual([
    '--weights',
    'a=1,b=2',
    '--edits',
    '5',
    '--max-memory',
    "'16 GiB'",
  ])
  expect(quote("it's")).toBe(`'it'\\''s'`)
})
