import { expect, test } from 'vitest'
import { none } from '../../src/editors/none.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

test('gives a patch with which the model computes what it did before, to the bit', async () => {
  const model = await openTinyModel()
  const job = { model, facts: FACTS, hparams: {}, prepared: undefined, history: [] }
  const patch = await none.edit(job, testContext())
  expect(patch).toEqual({ parts: [], report: {} })
  const queries = FACTS.map(({ prompt, targetNew }) => ({ prompt, target: targetNew }))
  expect(await model.withPatch(patch).score(queries)).toEqual(await model.score(queries))
  await model.close()
})

describeEditor(none, {
  skip: { 'makes the target likelier': 'it edits nothing', 'goes on from its history': 'it edits nothing' },
})
describeMemory(none, 175)
