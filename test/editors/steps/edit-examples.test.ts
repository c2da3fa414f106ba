import { afterAll, beforeAll, expect, test } from 'vitest'
import { readExamples } from '../../../src/editors/steps/edit-examples.ts'
import { tokenizeTarget } from '../../../src/editors/steps/target-tokens.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { FACTS, SHORT_FACTS, TRAINING_FACTS } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

const EDITOR = { title: 'Method' }
let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const read = (facts: typeof TRAINING_FACTS, most = 100) => readExamples(EDITOR, { model, facts, most }, testContext())

test('a fact is followed by its own wording and the others, and its neighbours stand by', async () => {
  const [fact] = TRAINING_FACTS
  const examples = await read(TRAINING_FACTS)
  const edit = await tokenizeTarget(model.tokenizer, fact?.prompt ?? '', fact?.targetNew ?? '')
  const found = examples.find((example) => example.edit.row.join() === edit.row.join())
  const force = (prompt: string, target: string) => tokenizeTarget(model.tokenizer, prompt, target)
  const bystander = await force('The capital of Poland is', 'Warsaw')
  expect(found?.checks).toEqual([
    { follower: edit, bystander },
    { follower: await force('The capital city of Norway is', 'Cairo'), bystander },
  ])
})

test('where a fact has no neighbours another fact stands by', async () => {
  const facts = [...FACTS, ...SHORT_FACTS]
  const examples = await read(facts)
  const edits = examples.map(({ edit }) => edit.row.join())
  for (const { edit, checks } of examples) {
    const [{ follower, bystander }, ...more] = checks
    expect(follower).toEqual(edit)
    expect(more).toEqual([])
    expect(bystander.row.join()).not.toBe(edit.row.join())
    expect(edits).toContain(bystander.row.join())
  }
})

test('takes no more than asked for, and refuses too few', async () => {
  expect(await read(TRAINING_FACTS, 3)).toHaveLength(3)
  await expect(read(TRAINING_FACTS.slice(0, 1))).rejects.toMatchObject({ code: 'E_TRAINING_FACTS' })
})
