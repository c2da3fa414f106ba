import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { PROBES } from '../../src/probes/index.ts'
import { CRITERION_NAMES } from '../../src/scoring/criteria.ts'
import { mixKey, parseProfile, parseWeights, readProfile } from '../../src/scoring/profile.ts'

const FOLDER = fileURLToPath(new URL('../../profiles', import.meta.url))
const HEAD = 'schema: whichedit/profile@1\nweights: {reliability: 1}\n'

describe('parseProfile', () => {
  test('fills in what a profile leaves out', async () => {
    expect(await parseProfile('schema: whichedit/profile@1\nweights: {reliability: 3, locality: 1}', 'p.yaml')).toEqual(
      {
        title: 'Untitled profile',
        weights: { reliability: 0.75, generalization: 0, locality: 0.25, portability: 0, efficiency: 0 },
        workload: { edits: 1, arrival: 'single', relatedKnowledge: 'medium', queries: 1000, access: 'weights' },
        limits: { memory: null, prepare: null, edit: null, query: null },
        minimums: { reliability: 50 },
        mix: { efficiency: { time: 3, memory: 1 } },
        scales: { efficiency: { good: 10, bad: 7200 }, memory: { good: 2 ** 30, bad: 64 * 2 ** 30 } },
        prefer: {},
        formula: null,
        indifference: 2,
      },
    )
  })

  test('reads quantities in seconds and bytes', async () => {
    const text = `${HEAD}limits: {memory: 16 GiB, prepare: 2 h, edit: 250 ms, query: null}\nscales: {efficiency: {good: 1 min, bad: 1 d}}`
    const { limits, scales } = await parseProfile(text, 'p.yaml')
    expect(limits).toEqual({ memory: 16 * 2 ** 30, prepare: 7200, edit: 0.25, query: null })
    expect(scales.efficiency).toEqual({ good: 60, bad: 86_400 })
  })

  test('a mix of its own leaves the mix of efficiency', async () => {
    const { mix } = await parseProfile(`${HEAD}mix: {portability: {oneHop: 2}}`, 'p.yaml')
    expect(mix).toEqual({ efficiency: { time: 3, memory: 1 }, portability: { oneHop: 2 } })
  })

  const DURATION = 'a duration above 0 with its unit (ms, s, min, h, d), such as 250 ms or 2 h'
  const SIZE = 'a size above 0 with its unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as 16 GiB'
  const CRITERIA = 'one of reliability, generalization, locality, portability, efficiency'
  test.each([
    ['no schema', 'weights: {locality: 1}', '1:1: expected the key schema (whichedit/profile@1), found nothing'],
    [
      'another schema',
      'schema: whichedit/profile@2\nweights: {locality: 1}',
      '1:9: expected whichedit/profile@1, found "whichedit/profile@2"; did you mean whichedit/profile@1?',
    ],
    [
      'no weights',
      'schema: whichedit/profile@1',
      '1:1: expected the key weights (a mapping of keys to values), found nothing',
    ],
    [
      'only zero weights',
      'schema: whichedit/profile@1\nweights: {locality: 0}',
      '2:10: expected at least one weight above 0, found a mapping',
    ],
    [
      'a negative weight',
      'schema: whichedit/profile@1\nweights: {locality: -1}',
      '2:21: expected at least 0, found -1',
    ],
    [
      'a weight that is text',
      'schema: whichedit/profile@1\nweights: {locality: lots}',
      '2:21: expected a number, found "lots"',
    ],
    [
      'an unknown criterion',
      'schema: whichedit/profile@1\nweights: {lokality: 1}',
      `2:11: expected ${CRITERIA}, found "lokality"; did you mean locality?`,
    ],
    [
      'an unknown section',
      `${HEAD}limit: {}`,
      /^p.yaml:3:1: expected one of schema, .*, found "limit"; did you mean limits\?$/,
    ],
    ['no unit', `${HEAD}limits: {memory: 16}`, `3:18: expected ${SIZE}, found 16`],
    ['a wrong unit', `${HEAD}limits: {prepare: 2 hours}`, `3:19: expected ${DURATION}, found "2 hours"`],
    ['a size for a time', `${HEAD}limits: {edit: 2 GiB}`, `3:16: expected ${DURATION}, found "2 GiB"`],
    ['a list for a time', `${HEAD}limits: {edit: [2 s]}`, `3:16: expected ${DURATION}, found a list`],
    ['no edits', `${HEAD}workload: {edits: 0}`, '3:19: expected at least 1, found 0'],
    ['half a query', `${HEAD}workload: {queries: 0.5}`, '3:21: expected a whole number, found 0.5'],
    [
      'an unknown arrival',
      `${HEAD}workload: {arrival: strem}`,
      '3:21: expected one of single, batch, stream, found "strem"; did you mean stream?',
    ],
    ['a minimum above 100', `${HEAD}minimums: {locality: 101}`, '3:22: expected at most 100, found 101'],
    [
      'a scale upside down',
      `${HEAD}scales: {efficiency: {good: 2 h, bad: 10 s}}`,
      '3:22: expected a good end below the bad end, found a mapping',
    ],
    [
      'half a scale',
      `${HEAD}scales: {efficiency: {good: 2 h}}`,
      `3:22: expected the key scales.efficiency.bad (${DURATION}), found nothing`,
    ],
    [
      'a mix of nothing',
      `${HEAD}mix: {portability: {alias: 0}}`,
      '3:20: expected at least one part above 0, found a mapping',
    ],
    ['a preference beyond 100', `${HEAD}prefer: {memory: -101}`, '3:18: expected at least -100, found -101'],
    ['a formula that is none', `${HEAD}formula: import("fs")`, /^p.yaml:3:10: expected a formula made only of/],
    ['an indifference below 0', `${HEAD}indifference: -1`, '3:15: expected at least 0, found -1'],
  ])('refuses %s with its place', async (_, text, message) => {
    const expected = typeof message === 'string' ? `p.yaml:${message}` : expect.stringMatching(message)
    await expect(parseProfile(text, 'p.yaml')).rejects.toMatchObject({ code: 'E_SETTINGS', exit: 2, message: expected })
  })
})

describe('built-in profiles', () => {
  const files = readdirSync(FOLDER)

  test('are five', () => {
    expect(files.length).toBe(5)
  })

  test.each(files)('%s is valid and mixes probes that exist', async (file) => {
    const profile = await readProfile(join(FOLDER, file))
    const probes = Object.keys(PROBES).map(mixKey)
    for (const criterion of CRITERION_NAMES.filter((name) => name !== 'efficiency')) {
      expect(Object.keys(profile.mix[criterion] ?? {}).filter((name) => !probes.includes(name))).toEqual([])
    }
    expect(CRITERION_NAMES.reduce((sum, name) => sum + profile.weights[name], 0)).toBeCloseTo(1, 12)
  })
})

describe('parseWeights', () => {
  test('shares out the points', () => {
    expect(parseWeights('reliability=30, locality = 10')).toEqual({
      reliability: 0.75,
      generalization: 0,
      locality: 0.25,
      portability: 0,
      efficiency: 0,
    })
  })

  test.each([
    ['lokality=3', 'found "lokality"; did you mean locality?'],
    ['locality=-3', 'expected locality=POINTS with points of 0 and more, found "locality=-3"'],
    ['locality=x', 'expected locality=POINTS'],
    ['locality', 'expected locality=POINTS'],
    ['locality=1=2', 'expected locality=POINTS'],
    ['locality=1,locality=2', 'expected each criterion once'],
    ['locality=0', 'expected a weight above 0'],
    ['', 'expected one of reliability'],
    ['\u001b[31m=1', 'found "\\u001b[31m"'],
  ])('refuses %j', (text, message) => {
    expect(() => parseWeights(text)).toThrow(message)
    expect(() => parseWeights(text)).toThrow(expect.objectContaining({ code: 'E_WEIGHTS', exit: 2 }))
  })
})
