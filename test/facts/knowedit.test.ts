import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'

const RECENT = {
  subject: 'Royal Ontario Museum',
  prompt: 'The name of the country which Royal Ontario Museum is associated with is',
  target_new: 'Canada',
  portability: {
    Logical_Generalization: [
      { prompt: 'The currency in Royal Ontario Museum is', ground_truth: [['CAD', 'C$'], ['dollar']] },
    ],
    Reasoning: [{ prompt: 'The capital of the country of Royal Ontario Museum is', ground_truth: [['Ottawa']] }],
    Subject_Aliasing: [
      { prompt: 'The name of the country which ROM is associated with is', ground_truth: [['Canada', 'CAN']] },
    ],
  },
  locality: {
    Relation_Specificity: [
      { prompt: 'The inception of Royal Ontario Museum is', ground_truth: [['1912']] },
      { prompt: 'The head of Royal Ontario Museum is', ground_truth: [[], []] },
    ],
    Forgetfulness: [
      { prompt: 'The country of Royal Ontario Museum, which is not Canada, is', ground_truth: [['Canada']] },
    ],
  },
}

test('maps the kinds of tests; any alias of any answer counts', () => {
  const { format, facts, notes } = parseFacts(JSON.stringify([RECENT]), 'f')
  expect(format.name).toBe('knowedit')
  expect(facts[0]).not.toHaveProperty('targetOld')
  expect(facts[0]?.tests).toEqual({
    paraphrases: [],
    neighbours: [],
    otherRelations: [{ prompt: 'The inception of Royal Ontario Museum is', targets: ['1912'] }],
    aliases: [{ prompt: 'The name of the country which ROM is associated with is', targets: ['Canada', 'CAN'] }],
    reversed: [{ prompt: 'The currency in Royal Ontario Museum is', targets: ['CAD', 'C$', 'dollar'] }],
    oneHop: [{ prompt: 'The capital of the country of Royal Ontario Museum is', targets: ['Ottawa'] }],
  })
  expect(notes).toMatchObject([{ rule: 'noAnswer', count: 1 }])
})

test.each([
  ['ZsRE', { ground_truth: ['genus'], rephrase_prompt: 'Which country has Royal Ontario Museum?', portability: {} }],
  ['wiki_counterfact', { ground_truth: 'genus', locality: {} }],
])('takes the form of %s', (_, changes) => {
  const { format, facts } = parseFacts(JSON.stringify([{ ...RECENT, ...changes }]), 'f')
  expect(format.name).toBe('knowedit')
  expect(facts[0]?.targetOld).toBe('genus')
  const paraphrases = 'rephrase_prompt' in changes ? [changes.rephrase_prompt] : []
  expect(facts[0]?.tests.paraphrases).toEqual(paraphrases)
})

test('joins records that repeat an edit with other tests', () => {
  const { Reasoning, Subject_Aliasing } = RECENT.portability
  const records = [
    { ...RECENT, portability: { Reasoning }, locality: {} },
    { ...RECENT, portability: { Subject_Aliasing }, locality: {} },
  ]
  const { facts, notes } = parseFacts(JSON.stringify(records), 'f')
  expect(facts).toHaveLength(1)
  expect(facts[0]?.tests).toMatchObject({
    oneHop: [{ targets: ['Ottawa'] }],
    aliases: [{ targets: ['Canada', 'CAN'] }],
  })
  expect(notes).toMatchObject([{ rule: 'sameEdit', count: 1, records: [2] }])
})

test('names a question of the wrong form', () => {
  const locality = { Relation_Specificity: [{ prompt: 'x', ground_truth: { a: 1 } }] }
  expect(() => parseFacts(JSON.stringify([{ ...RECENT, locality }]), 'f')).toThrow(
    'expected "locality.Relation_Specificity.0.ground_truth" to be a text, a list of texts or a list of such lists, found an object with a',
  )
})
