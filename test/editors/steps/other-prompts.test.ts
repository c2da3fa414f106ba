import { expect, test } from 'vitest'
import { drawOtherPrompts } from '../../../src/editors/steps/other-prompts.ts'
import { TRAINING_FACTS } from '../../support/tiny-facts.ts'
import { testContext } from '../../support/tiny-model.ts'

const write = async () => ['written one', 'written two']

test('are those of facts and of their neighbours, each once, in an order that the seed decides', async () => {
  const facts = [...TRAINING_FACTS, ...TRAINING_FACTS]
  const drawn = await drawOtherPrompts({ facts, most: 100, write }, testContext())
  const names = ['Norway', 'Thailand', 'Peru', 'Italy', 'Poland', 'Ghana', 'Chile', 'Spain']
  expect(drawn.toSorted()).toEqual(names.map((name) => `The capital of ${name} is`).toSorted())
  expect(await drawOtherPrompts({ facts, most: 3, write }, testContext())).toEqual(drawn.slice(0, 3))
})

test('are what the model writes where there are no facts', async () => {
  const drawn = await drawOtherPrompts({ facts: [], most: 9, write }, testContext())
  expect(drawn.toSorted()).toEqual(await write())
})
