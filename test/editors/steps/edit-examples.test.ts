import { afterAll, beforeAll, expect, test } from 'vitest'
import { chooseFacts, readExamples } from '../../../src/editors/steps/edit-examples.ts'
import { tokenizeTarget } from '../../../src/editors/steps/target-tokens.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { FACTS, SHORT_FACTS, TRAINING_FACTS } from '../../support/tiny-facts.ts'
import { openTinyModel } from '../../support/tiny-model.ts'

const EDITOR = { title: 'Method' }
let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const read = (facts: typeof TRAINING_FACTS) => readExamples(model, facts, new AbortController().signal)
const choose = (facts: typeof TRAINING_FACTS, most: number) =>
  chooseFacts(EDITOR, facts, { most, random: createRandom(1) })

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

test('draws no more than asked for, the same from the same seed, and refuses too few', () => {
  const three = choose(TRAINING_FACTS, 3)
  expect(three).toHaveLength(3)
  expect(choose(TRAINING_FACTS, 3)).toEqual(three)
  expect(new Set(choose(TRAINING_FACTS, 100))).toEqual(new Set(TRAINING_FACTS))
  expect(() => choose(TRAINING_FACTS.slice(0, 1), 3)).toThrow(expect.objectContaining({ code: 'E_TRAINING_FACTS' }))
})
