import { describe, expect, test } from 'vitest'
import { explainRanking, formatProbability, formatSigned, nameOf } from '../../src/report/sentence.ts'
import { makeMethod, makeRanking } from '../support/sketch-ranking.ts'

describe('explainRanking', () => {
  test('says who leads, by how much and why, how sure, what would change it and what is out', () => {
    expect(explainRanking(makeRanking())).toEqual([
      'ROME leads GRACE by 4.2 (+6.1 generalization, −1.9 locality).',
      '83 % likely best on this evidence, not to be told apart from GRACE.',
      '7 points of weight moved from generalization to locality would draw them level.',
      'Ruled out: SERAC (needs 9 GiB, limit 6 GiB).',
    ])
  })

  test('calls scores level that differ by nothing that shows', () => {
    const lead = { first: 'rome', second: 'grace', gap: 0.01, parts: [], flip: null, settles: 3 }
    expect(explainRanking(makeRanking({ lead }))[0]).toBe('ROME and GRACE are level.')
  })

  test('knows a race of one', () => {
    const ranking = [makeMethod({ method: 'rome', title: 'ROME', rank: 1, pBest: 1 })]
    expect(explainRanking(makeRanking({ ranking, lead: null }))).toEqual([
      'ROME is the only method that qualifies.',
      '> 99 % likely best on this evidence.',
    ])
  })

  test.each([
    ['nobody', []],
    ['the control alone', [makeMethod({ method: 'none', title: 'No edit', family: 'control', rank: 1 })]],
  ])('says that no method qualifies where %s is left', (_, left) => {
    const out = makeMethod({
      method: 'ike',
      title: 'IKE',
      rank: null,
      ruledOut: ['not probed yet', 'needs 2 GiB, limit 1 GiB'],
    })
    expect(explainRanking(makeRanking({ ranking: [...left, out], lead: null }))).toEqual([
      'No method qualifies.',
      'Ruled out: IKE (not probed yet; needs 2 GiB, limit 1 GiB).',
    ])
  })

  test.each([
    [{ points: 0.4, from: ['locality'], to: 'efficiency' }, 'Less than a point of weight moved from locality to'],
    [{ points: 1, from: ['locality'], to: 'efficiency' }, '1 point of weight moved from locality to efficiency'],
    [
      { points: 12.3, from: ['reliability', 'locality', 'portability'], to: 'efficiency' },
      '13 points of weight moved from reliability, locality and portability to efficiency',
    ],
  ] as const)('tells the fewest points to move: %j', (flip, text) => {
    const lead = { first: 'rome', second: 'grace', gap: 4, parts: [], flip, settles: 3 }
    expect(explainRanking(makeRanking({ lead }))[2]).toContain(text)
  })

  test('neutralises names and reasons from files', () => {
    const out = makeMethod({ title: 'A\u001b[31m', rank: null, ruledOut: ['\u202eevil\r\n'] })
    const [, told] = explainRanking(makeRanking({ ranking: [out], lead: null }))
    expect(told).toBe('Ruled out: A\\u001b[31m (\\u202eevil\\r\\n).')
  })
})

test.each([
  [1, '> 99 %'],
  [0.997, '> 99 %'],
  [0.994, '99 %'],
  [0.005, '1 %'],
  [0.004, '< 1 %'],
  [0, '< 1 %'],
])('a probability of %d is told as %s', (share, text) => {
  expect(formatProbability(share)).toBe(text)
})

test('points have their sign', () => {
  expect([4.25, -2.94].map(formatSigned)).toEqual(['+4.3', '−2.9'])
})

test('a name is one harmless line', () => {
  expect(nameOf({ title: 'a\nb' })).toBe('a\\nb')
})
