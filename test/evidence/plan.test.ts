import { describe, expect, test } from 'vitest'
import { makePlan, type PlanRequest, pendingJobs, planItems } from '../../src/evidence/plan.ts'
import { PROBES } from '../../src/probes/index.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { makeCase, makeRunInfo } from '../support/records.ts'
import { makeFacts } from '../support/stub-editor.ts'

const INFO = makeRunInfo()
// Names of one length: Land1 is a beginning of Land10.
const FACTS = makeFacts(30).slice(10)
const STUB = { name: 'stub', title: 'Stub', family: 'control', version: 1, hparams: { b: 2, a: 1 } } as const
const REQUEST: PlanRequest = {
  model: INFO.model,
  data: { name: 'facts.json', format: 'whichedit', facts: FACTS },
  methods: [STUB, { ...STUB, name: 'other' }],
  probes: [PROBES.reliability, PROBES.neighbours],
  cases: 4,
  settings: { seed: 1, itemsPerProbe: 5, maxNewTokens: 16 },
  text: null,
  machine: INFO.machine,
  versions: { whichedit: '1.0.0' },
  createdAt: '2026-01-01T00:00:00.000Z',
}
const idOf = (changes: Partial<PlanRequest>) => makePlan({ ...REQUEST, ...changes }).info.id

describe('a plan', () => {
  test('chooses cases by the seed; the rest is what methods learn from, in its order', () => {
    const { info, facts, material } = makePlan(REQUEST)
    expect(facts).toHaveLength(4)
    expect(info.data).toMatchObject({ cases: facts.map(({ id }) => id), facts: 20, format: 'whichedit' })
    expect(material.facts).toEqual(FACTS.filter((fact) => !facts.includes(fact)))
    expect(makePlan({ ...REQUEST, settings: { ...REQUEST.settings, seed: 2 } }).facts).not.toEqual(facts)
  })

  test('of more cases begins with those of fewer', () => {
    expect(makePlan({ ...REQUEST, cases: 8 }).facts.slice(0, 4)).toEqual(makePlan(REQUEST).facts)
  })

  test('takes all facts where there are fewer than asked for', () => {
    const { facts, material } = makePlan({ ...REQUEST, cases: 99 })
    expect(facts).toHaveLength(20)
    expect(material.facts).toEqual([])
  })

  test('has an id of 16 hexadecimal digits', () => {
    expect(idOf({})).toMatch(/^[0-9a-f]{16}$/)
  })

  test.each<[string, Partial<PlanRequest>]>([
    ['when it is made', { createdAt: '2027-01-01T00:00:00.000Z' }],
    ['the machine', { machine: { ...INFO.machine, cores: 64 } }],
    ['the versions of programs', { versions: { whichedit: '2.0.0' } }],
    ['the order of the methods', { methods: [...REQUEST.methods].reverse() }],
    [
      'the order of settings',
      {
        methods: [
          { ...STUB, hparams: { a: 1, b: 2 } },
          { ...STUB, name: 'other' },
        ],
      },
    ],
    [
      'what the data and the model are called',
      { data: { ...REQUEST.data, name: 'x' }, model: { ...INFO.model, name: 'x' } },
    ],
  ])('is the same run whatever %s', (_, changes) => {
    expect(idOf(changes)).toBe(idOf({}))
  })

  test.each<[string, Partial<PlanRequest>]>([
    ['model', { model: { ...INFO.model, id: 'm2' } }],
    ['data', { data: { ...REQUEST.data, facts: FACTS.slice(0, 19) } }],
    ['number of cases', { cases: 5 }],
    ['set of methods', { methods: [STUB] }],
    [
      'version of a method',
      {
        methods: [
          { ...STUB, version: 2 },
          { ...STUB, name: 'other' },
        ],
      },
    ],
    [
      'setting of a method',
      {
        methods: [
          { ...STUB, hparams: { a: 1, b: 3 } },
          { ...STUB, name: 'other' },
        ],
      },
    ],
    [
      'encoder of sentences',
      {
        methods: [
          { ...STUB, encoder: 'e' },
          { ...STUB, name: 'other' },
        ],
      },
    ],
    ['set of probes', { probes: [PROBES.reliability] }],
    ['version of a probe', { probes: [{ ...PROBES.reliability, version: 2 }, PROBES.neighbours] }],
    ['seed', { settings: { ...REQUEST.settings, seed: 2 } }],
    ['number of prompts', { settings: { ...REQUEST.settings, itemsPerProbe: 4 } }],
    ['length of answers', { settings: { ...REQUEST.settings, maxNewTokens: 8 } }],
    ['text', { text: ['a'] }],
  ])('is another run with another %s', (_, changes) => {
    expect(idOf(changes)).not.toBe(idOf({}))
  })
})

describe('what is left to do', () => {
  const { info } = makePlan({ ...REQUEST, data: { ...REQUEST.data, facts: FACTS.slice(0, 2) } })
  const all = [...new Set(['stub', 'other'])].flatMap((method) =>
    info.data.cases.map((factId) => ({ method, regime: 'single', factId })),
  )

  test('is everything at first, method after method', () => {
    expect(pendingJobs(info, [])).toEqual(all)
  })

  test('is not what has its case record', () => {
    const [first, ...rest] = all
    expect(pendingJobs(info, makeCase('stub', first?.factId ?? ''))).toEqual(rest)
    expect(pendingJobs(info, makeCase('stub', first?.factId ?? '').slice(0, 2))).toEqual(all)
  })

  test('is nothing for a method whose lane failed', () => {
    const failure = {
      kind: 'failure',
      method: 'stub',
      regime: 'single',
      stage: 'prepare',
      code: 'E',
      message: '',
    } as const
    expect(pendingJobs(info, [{ ...failure, factId: null }])).toEqual(all.slice(2))
    expect(pendingJobs(info, [{ ...failure, factId: info.data.cases[0] ?? '' }])).toEqual(all)
  })
})

describe('the questions about a fact', () => {
  const [fact] = makeFacts(1)
  if (fact === undefined) throw new Error('no fact')
  const many = {
    ...fact,
    tests: {
      ...fact.tests,
      neighbours: Array.from({ length: 10 }, (_, index) => ({ prompt: `p${index}`, targets: ['x'] as const })),
    },
  }
  const itemsOf = (seed: number, id: string) =>
    planItems({ ...many, id }, [PROBES.reliability, PROBES.neighbours], 5, createRandom(seed)).map(
      ({ probe, item }) => `${probe.name} ${item.item}`,
    )

  test('are bounded, in order, and the same for the same seed', () => {
    const items = itemsOf(1, 'f0')
    expect(items).toHaveLength(6)
    expect(items[0]).toBe('reliability 0')
    expect(items.slice(1)).toEqual([...items.slice(1)].sort())
    expect(itemsOf(1, 'f0')).toEqual(items)
  })

  test('are drawn, not the first ones', () => {
    const draws = new Set(Array.from({ length: 20 }, (_, index) => itemsOf(1, `f${index}`).join()))
    expect(draws.size).toBeGreaterThan(10)
    expect(itemsOf(2, 'f0')).not.toEqual(itemsOf(1, 'f0'))
  })
})
