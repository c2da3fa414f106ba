import { describe, expect, test } from 'vitest'
import {
  type Group,
  groupFacts,
  makePlan,
  type PlanRequest,
  pendingGroups,
  pendingJobs,
  planItems,
} from '../../src/evidence/plan.ts'
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
  data: { name: 'facts.json', format: 'whichedit', facts: FACTS, learning: null },
  methods: [STUB, { ...STUB, name: 'other' }],
  probes: [PROBES.reliability, PROBES.neighbours],
  cases: 4,
  regimes: ['single'],
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

  test('lets methods learn from a set of its own, the same whichever cases are tried', () => {
    const aside = [FACTS[0], FACTS[19]].flatMap((fact) => fact ?? [])
    const data = { ...REQUEST.data, facts: FACTS.slice(0, 10), learning: [...aside, ...FACTS.slice(12)] }
    const plan = makePlan({ ...REQUEST, data })
    // The first is one of those that are tried, if not now then with another seed.
    expect(plan.material.facts).toEqual([FACTS[19], ...FACTS.slice(12)])
    const other = makePlan({ ...REQUEST, data, settings: { ...REQUEST.settings, seed: 99 }, cases: 2 })
    expect(other.facts).not.toEqual(plan.facts)
    expect(other.material).toEqual(plan.material)
  })

  test('is another run where methods learn from other facts', () => {
    const idWith = (learning: typeof FACTS | null) =>
      makePlan({ ...REQUEST, data: { ...REQUEST.data, learning } }).info.id
    expect(new Set([idWith(null), idWith(FACTS), idWith(FACTS.slice(1))]).size).toBe(3)
  })

  test('has no case about a subject that settings were chosen by, however it is written', () => {
    const { info, facts } = makePlan(REQUEST)
    const [first, second] = facts.map(({ subject }) => subject)
    const spent = [first?.toUpperCase() ?? '', second ?? '']
    const other = makePlan({ ...REQUEST, data: { ...REQUEST.data, spent }, cases: 99, regimes: ['stream-3'] })
    const edited = [...other.facts, ...other.companions].map(({ subject }) => subject)
    expect(edited).toHaveLength(18)
    expect(edited).not.toContain(first)
    expect(edited).not.toContain(second)
    // The data is what it was.
    expect(other.info.data.hash).toBe(info.data.hash)
  })

  test('refuses where settings were chosen by all there is', () => {
    const spent = FACTS.map(({ subject }) => subject)
    expect(() => makePlan({ ...REQUEST, data: { ...REQUEST.data, spent } })).toThrow(
      expect.objectContaining({ code: 'E_TOO_FEW_FACTS' }),
    )
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
    ['set of regimes', { regimes: ['single', 'batch-4'] }],
  ])('is another run with another %s', (_, changes) => {
    expect(idOf(changes)).not.toBe(idOf({}))
  })
})

describe('the groups of a regime', () => {
  const planOf = (regime: string, facts = FACTS) =>
    makePlan({ ...REQUEST, regimes: ['single', regime], data: { ...REQUEST.data, facts } })
  const idsOf = (groups: readonly Group[]) => groups.map(({ facts }) => facts.map(({ id }) => id))

  test('are the cases one by one, where each is edited alone', () => {
    const plan = planOf('batch-2')
    expect(groupFacts(plan, 'single')).toEqual(plan.facts.map((fact) => ({ facts: [fact], cases: [fact.id] })))
  })

  test('hold every case once, the last filled up with facts that are not asked about', () => {
    const plan = planOf('batch-3')
    const groups = groupFacts(plan, 'batch-3')
    expect(groups.map(({ facts, cases }) => [facts.length, cases.length])).toEqual([
      [3, 3],
      [3, 1],
    ])
    expect(groups.flatMap(({ cases }) => cases)).toEqual(plan.info.data.cases)
    expect(plan.companions).toHaveLength(2)
    expect(new Set(idsOf(groups).flat())).toEqual(new Set([...plan.facts, ...plan.companions].map(({ id }) => id)))
  })

  test('of more edits than cases ask about the cases only', () => {
    const [group, ...others] = groupFacts(planOf('stream-12'), 'stream-12')
    expect(others).toEqual([])
    expect([group?.facts.length, group?.cases.length]).toEqual([12, 4])
  })

  test('stand in an order of the regime and the seed', () => {
    const plan = makePlan({ ...REQUEST, regimes: ['stream-12', 'stream-12#2'] })
    const [first, second] = ['stream-12', 'stream-12#2'].map((name) => idsOf(groupFacts(plan, name)).flat())
    expect(second).not.toEqual(first)
    expect(second?.toSorted()).toEqual(first?.toSorted())
    expect(idsOf(groupFacts(plan, 'stream-12')).flat()).toEqual(first)
    // No case is always the oldest.
    expect(first?.slice(0, 4)).not.toEqual(plan.info.data.cases)
  })

  test('are filled up with cases of the first where the data has no more facts', () => {
    const plan = planOf('batch-3', FACTS.slice(0, 4))
    const groups = groupFacts(plan, 'batch-3')
    expect(plan.companions).toEqual([])
    expect(groups.map(({ facts }) => new Set(facts).size)).toEqual([3, 3])
    expect(groups.flatMap(({ cases }) => cases)).toEqual(plan.info.data.cases)
  })

  test('keep what methods learn from apart from everything that is edited', () => {
    const plan = planOf('stream-12')
    const edited = new Set([...plan.facts, ...plan.companions].map(({ id }) => id))
    expect(plan.material.facts).toHaveLength(8)
    expect(plan.material.facts.filter(({ id }) => edited.has(id))).toEqual([])
  })

  test('that are done in part are made again with what is left to ask', () => {
    const groups = groupFacts(planOf('batch-3'), 'batch-3')
    const [first, second] = groups.map(({ cases }) => cases)
    const pending = new Set([first?.[1] ?? ''])
    expect(pendingGroups(groups, pending)).toEqual([{ facts: groups[0]?.facts, cases: [first?.[1]] }])
    expect(pendingGroups(groups, new Set(second))).toEqual([groups[1]])
  })

  test('come in the same order with SimIE and without', () => {
    const orderOf = (regime: string) => groupFacts(planOf(regime), regime).map(({ facts }) => facts.map(({ id }) => id))
    expect(orderOf('stream-12+simie')).toEqual(orderOf('stream-12'))
    expect(orderOf('stream-12+simie#2')).toEqual(orderOf('stream-12#2'))
    expect(orderOf('stream-12#2')).not.toEqual(orderOf('stream-12'))
  })

  test.each(
    [
      ['batch', 'batch-0', 'stream-1.5', 'burst-3', 'single-2', ''],
      ['batch-3+simie', 'stream-3+rome', 'stream+simie', 'stream-3#2+simie'],
    ].flat(),
  )('refuses the regime "%s"', (regime) => {
    expect(() => planOf(regime)).toThrow(expect.objectContaining({ code: 'E_REGIME' }))
  })

  test('refuses more edits than there are facts', () => {
    expect(() => planOf('batch-21')).toThrow(
      expect.objectContaining({ code: 'E_TOO_FEW_FACTS', values: { regime: 'batch-21', found: 20 } }),
    )
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
    const both = { ...info, regimes: ['single', 'batch-2'] }
    const left = pendingJobs(both, [{ ...failure, factId: null }]).map(({ method, regime }) => `${method} ${regime}`)
    expect([...new Set(left)]).toEqual(['stub batch-2', 'other single', 'other batch-2'])
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
