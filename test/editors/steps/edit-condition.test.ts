import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConditions } from '../../../src/editors/steps/edit-condition.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { FACTS, SHORT_FACTS } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const { signal } = testContext()
const [france] = FACTS
const [peru] = SHORT_FACTS

test('holds what the model writes, as long as the new target, then the target and the prompt', async () => {
  const [condition = []] = await readConditions(model, [france], signal)
  const target = await model.tokenizer.encodeContinuation(` ${france.targetNew}`)
  const [written] = await model.generate([france.prompt], { maxNewTokens: target.length })
  const text = await model.tokenizer.decode([...condition])
  expect(target.length).toBeGreaterThan(1)
  expect(text.trim()).toBe(`${written?.text.trim()} >> ${france.targetNew} || ${france.prompt}`)
})

test('says of each edit what it says of it alone', async () => {
  const alone = [await readConditions(model, [peru], signal), await readConditions(model, [france], signal)].flat()
  expect(await readConditions(model, [peru, france], signal)).toEqual(alone)
})
