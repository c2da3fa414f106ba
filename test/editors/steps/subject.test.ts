import { afterAll, beforeAll, expect, test } from 'vitest'
import { prefixesOffStart, promptAfter, tokenizeSubject } from '../../../src/editors/steps/subject.ts'
import type { Fact } from '../../../src/facts/fact.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { makeFact } from '../../support/tiny-facts.ts'
import { openTinyModel } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const inMiddle = makeFact({ subject: 'Mexico City', prompt: 'The capital Mexico City is in', targetNew: 'Asia' })
const atStart = makeFact({ subject: 'France', prompt: 'France is a country in', targetNew: 'Asia' })
const atEnd = makeFact({ subject: 'Kenya', prompt: 'People speak Spanish in Kenya', targetNew: 'x' })
const withBraces = makeFact({ subject: 'Peru', prompt: 'The {} of Peru {0} is', targetNew: 'x' })

test.each([
  ['in the middle', '', inMiddle],
  ['at the start', '', atStart],
  ['at the start, after a prefix', 'I have never been there. ', atStart],
  ['at the end', 'The train. ', atEnd],
  ['beside braces', 'Because {1}. ', withBraces],
])('finds the last token of a subject %s', async (_where, prefix, fact) => {
  const text = promptAfter(prefix, fact)
  expect(text.text.slice(...text.span)).toBe(fact.subject)
  const { ids, subject } = await tokenizeSubject(model.tokenizer, text)
  const upTo = await model.tokenizer.decode([...ids.subarray(0, subject + 1)])
  expect(upTo).toBe(text.text.slice(0, text.span[1]))
})

test('refuses a subject that ends inside a token', async () => {
  const cut = tokenizeSubject(model.tokenizer, { text: 'The capital of France is', span: [15, 18] })
  await expect(cut).rejects.toMatchObject({ code: 'E_SUBJECT_SPLIT' })
})

test('leaves out prefixes that put the subject at the first place of a text, unless none is left', async () => {
  const kept = (fact: Fact, prefixes: string[]) =>
    prefixesOffStart(model.tokenizer, prefixes, (prefix) => promptAfter(prefix, fact))
  const letter = makeFact({ subject: 'F', prompt: 'F is a letter of', targetNew: 'Asia' })
  expect(await kept(letter, ['', 'The train. '])).toEqual(['The train. '])
  expect(await kept(letter, [''])).toEqual([''])
  expect(await kept(inMiddle, ['', 'The train. '])).toEqual(['', 'The train. '])
})
