import { describe, expect, test } from 'vitest'
import type { Fact } from '../../src/facts/fact.ts'
import { PROBES } from '../../src/probes/index.ts'
import type { Probe, ProbeAnswers, ProbeItem, Reading } from '../../src/probes/probe.ts'

const FACT: Fact = {
  id: 'f1',
  subject: 'France',
  prompt: 'The capital of France is',
  subjectSpan: [15, 21],
  targetNew: 'Rome',
  targetOld: 'Paris',
  tests: {
    paraphrases: ['France has its capital in', "France's capital city is"],
    neighbours: [{ prompt: 'The capital of Spain is', targets: ['Madrid'] }],
    otherRelations: [{ prompt: 'The currency of France is', targets: ['euro', 'the euro'] }],
    aliases: [{ prompt: 'The capital of the French Republic is', targets: ['Rome'] }],
    reversed: [{ prompt: 'Rome is the capital of', targets: ['France'] }],
    oneHop: [
      {
        prompt: 'The river through the capital of France is the',
        targets: ['Tiber'],
        secondFact: { prompt: 'The river through Rome is the', targets: ['Tiber'] },
      },
      { prompt: 'The mayor of the capital of France is', targets: ['Gualtieri'] },
    ],
  },
}

const EMPTY: Fact = {
  ...FACT,
  tests: { paraphrases: [], neighbours: [], otherRelations: [], aliases: [], reversed: [], oneHop: [] },
}

/** A reading of a target of two tokens, the first of which the model would have said. */
function said(text: string, argmax = [10, 99]): Reading {
  return { text, targetIds: [10, 11], logProbs: [-0.1, -5], argmax }
}

function firstItem(probe: Probe): ProbeItem {
  const item = probe.items(FACT)[0]
  if (item === undefined) throw new Error(`no item of ${probe.name}`)
  return item
}

describe('items', () => {
  test.each<[keyof typeof PROBES, ProbeItem[]]>([
    ['reliability', [{ item: 0, prompt: FACT.prompt, targets: ['Rome'] }]],
    [
      'generalization',
      [
        { item: 0, prompt: 'France has its capital in', targets: ['Rome'] },
        { item: 1, prompt: "France's capital city is", targets: ['Rome'] },
      ],
    ],
    ['neighbours', [{ item: 0, prompt: 'The capital of Spain is', targets: ['Madrid'] }]],
    ['other-relations', [{ item: 0, prompt: 'The currency of France is', targets: ['euro', 'the euro'] }]],
    ['alias', [{ item: 0, prompt: 'The capital of the French Republic is', targets: ['Rome'] }]],
    ['reversed', [{ item: 0, prompt: 'Rome is the capital of', targets: ['France'] }]],
    [
      'one-hop',
      [
        {
          item: 0,
          prompt: 'The river through the capital of France is the',
          targets: ['Tiber'],
          requires: { prompt: 'The river through Rome is the', targets: ['Tiber'] },
        },
        { item: 1, prompt: 'The mayor of the capital of France is', targets: ['Gualtieri'] },
      ],
    ],
  ])('of %s', (name, expected) => {
    expect(PROBES[name].items(FACT)).toEqual(expected)
  })

  test.each(Object.values(PROBES).filter((probe) => probe.name !== 'reliability'))(
    '$name asks nothing where the data has nothing',
    (probe) => {
      expect(probe.items(EMPTY)).toEqual([])
    },
  )
})

test.each(Object.entries(PROBES))('%s is registered under its own name', (name, probe) => {
  expect(probe.name).toBe(name)
})

describe('probes of a gain', () => {
  const gains: Probe[] = [PROBES.reliability, PROBES.generalization, PROBES.alias]
  test.each(gains)('$name wants the new target', (probe) => {
    const item = firstItem(probe)
    const base = said(' Paris')
    expect(probe.judge({ item, base, edited: said(' Rome, I think', [10, 11]) })).toEqual({
      value: 1,
      teacherForced: 1,
    })
    expect(probe.judge({ item, base, edited: said(' Paris. Rome') })).toEqual({ value: 0, teacherForced: 0.5 })
  })

  test('reversed wants the subject', () => {
    const item = firstItem(PROBES.reversed)
    const base = said(' Italy')
    expect(PROBES.reversed.judge({ item, base, edited: said(' France') })).toEqual({ value: 1, teacherForced: 0.5 })
    expect(PROBES.reversed.judge({ item, base, edited: base })).toEqual({ value: 0, teacherForced: 0.5 })
  })
})

describe('probes of locality', () => {
  const keepers: Probe[] = [PROBES.neighbours, PROBES['other-relations']]
  test.each(keepers)('$name wants the unedited answer, right or wrong', (probe) => {
    const item = firstItem(probe)
    const base = said(' Lisbon, which is wrong', [7, 8])
    expect(probe.judge({ item, base, edited: base })).toEqual({ value: 1, teacherForced: 1 })
    expect(probe.judge({ item, base, edited: said(' Lisbon.', [7, 9]) })).toEqual({ value: 1, teacherForced: 0.5 })
    expect(probe.judge({ item, base, edited: said(' Madrid', [10, 11]) })).toEqual({ value: 0, teacherForced: 0 })
  })
})

describe('one-hop', () => {
  const [known, unknown] = PROBES['one-hop'].items(FACT)
  const judge = (answers: Partial<ProbeAnswers> & { item: ProbeItem }) =>
    PROBES['one-hop'].judge({ base: said(' Seine'), edited: said(' Tiber'), ...answers })

  test('counts where the unedited model knows the second fact', () => {
    if (known === undefined) throw new Error('no item')
    expect(judge({ item: known, required: said(' Tiber.') })).toEqual({ value: 1, teacherForced: 0.5 })
  })

  test('is not judged where the unedited model does not', () => {
    if (known === undefined) throw new Error('no item')
    expect(judge({ item: known, required: said(' Arno') })).toEqual({
      value: null,
      teacherForced: null,
      reason: 'the unedited model does not know the second fact',
    })
  })

  test('is not judged where the data names no second fact', () => {
    if (unknown === undefined) throw new Error('no item')
    expect(judge({ item: unknown })).toEqual({
      value: null,
      teacherForced: null,
      reason: 'the data does not say which second fact it needs',
    })
  })

  test('refuses to judge without having asked for the second fact', () => {
    if (known === undefined) throw new Error('no item')
    expect(() => judge({ item: known })).toThrow(/no reading of the second fact/)
  })
})
