/** A ranking of three methods, one of them ruled out, for testing what is made of rankings. */
import { mapCriteria } from '../../src/scoring/criteria.ts'
import type { RankedMethod, Ranking } from '../../src/scoring/ranking.ts'

export function makeMethod(changes: Partial<RankedMethod> = {}): RankedMethod {
  return {
    method: 'rome',
    title: 'ROME',
    family: 'locate-then-edit',
    rank: 1,
    tie: false,
    score: 72.4,
    scoreLow: 68.1,
    scoreHigh: 75.9,
    pBest: 0.83,
    pNearBest: 0.95,
    rankLow: 1,
    rankHigh: 2,
    preference: 0,
    otherReadingScore: 90.2,
    criteria: mapCriteria((criterion) => ({
      value: criterion === 'portability' ? null : 80,
      raw: criterion === 'portability' ? null : 0.8,
      base: null,
      low: criterion === 'portability' ? null : 70.2,
      high: criterion === 'portability' ? null : 88.8,
      cases: criterion === 'portability' ? 0 : 16,
      source: 'measured',
    })),
    cost: { prepareS: 60, editS: 2, queryS: 0.01, peakBytes: 2 ** 31, projectedS: 1060 },
    failedCases: 0,
    ...changes,
  }
}

export function makeRanking(changes: Partial<Ranking> = {}): Ranking {
  const weights = { reliability: 0.4, generalization: 0.2, locality: 0.3, portability: 0, efficiency: 0.1 }
  return {
    schemaVersion: 1,
    profile: {
      title: 'A few precise edits',
      weights,
      workload: { edits: 5, arrival: 'single', relatedKnowledge: 'low', queries: 100, access: 'weights' },
      formula: null,
      indifference: 2,
    },
    model: { name: 'tiny', id: 'm1' },
    runs: [{ id: '0123456789abcdef', createdAt: '2026-01-02T03:04:05.678Z', data: 'facts.json', cases: 16 }],
    reading: 'free-running',
    seed: 0,
    draws: 10_000,
    weights,
    ranking: [
      makeMethod({ tie: true }),
      makeMethod({ method: 'grace', title: 'GRACE', family: 'memory', rank: 2, tie: true, score: 68.2, pBest: 0.166 }),
      makeMethod({
        method: 'serac',
        title: 'SERAC',
        family: 'memory',
        rank: null,
        score: 60,
        pBest: null,
        ruledOut: ['needs 9 GiB, limit 6 GiB'],
      }),
    ],
    lead: {
      first: 'rome',
      second: 'grace',
      gap: 4.2,
      parts: [
        { of: 'generalization', points: 6.1 },
        { of: 'locality', points: -1.9 },
      ],
      flip: { points: 6.4, from: ['generalization'], to: 'locality' },
      settles: 9.3,
    },
    notes: ['Only 3 cases: take this as a hint, not as a result.'],
    ...changes,
  }
}
