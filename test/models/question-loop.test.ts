import { describe, expect, test } from 'vitest'
import type { LanguageModel } from '../../src/models/model.ts'
import type { ContextEntry, QuestionLoop } from '../../src/models/patch.ts'
import { answerInSteps } from '../../src/models/question-loop.ts'
import { zeros } from '../../src/tensor/tensor.ts'
import { makeStubModel } from '../support/stub-model.ts'

const entryOf = (sentence: string): ContextEntry => ({
  key: sentence,
  sentence,
  vector: zeros([1]),
  before: '',
  after: '',
})
const LIMA = entryOf('The capital of France is Lima.')
const THAI = entryOf('People in Peru speak Thai.')
/** Lima is about capitals, Thai about languages; of anything else the memory knows nothing. */
const retrieve = async (subquestions: readonly string[]) =>
  subquestions.map((one) => (one.includes('capital') ? LIMA : one.includes('language') ? THAI : null))

const loopOf = (format: QuestionLoop['format'], change: Partial<QuestionLoop> = {}): QuestionLoop => ({
  format,
  examples: 'E\n\n',
  subquestions: 2,
  maxNewTokens: 40,
  ...change,
})
const modelOf = (answers: Readonly<Record<string, string>>, contextLength = 4096, asked: string[] = []) => {
  const stub = makeStubModel({ answers, asked })
  return { ...stub, config: { ...stub.config, contextLength } } satisfies LanguageModel
}

const ASKED = 'E\n\nQuestion: What do they speak in the capital of France?'
const CONTRADICTS = 'Retrieved fact contradicts generated answer, so the intermediate answer is:'
const AGREES = 'Retrieved fact does not contradict generated answer, so the intermediate answer is:'
const FIRST = `${ASKED}\nSubquestion: What is the capital of France?\nGenerated answer: It is Paris.\n`
const SECOND = `${FIRST}Retrieved fact: ${LIMA.sentence}\n${CONTRADICTS} Lima\nSubquestion: Which language is spoken in Lima?\nGenerated answer: Spanish.\n`
const WHOLE = `${SECOND}Retrieved fact: ${THAI.sentence}\n${AGREES} Spanish\nFinal answer:`
const PROMPT = 'What do they speak in the capital of France?'

/** What is written after `text`, of a text that goes on so. */
const rest = (whole: string, text: string) => whole.slice(text.length)

describe('a model that keeps the format itself', () => {
  const shown = (text: string, entry: ContextEntry) => `${text}Retrieved fact: ${entry.sentence}`
  const GOOD = {
    [ASKED]: `${rest(FIRST, ASKED)}Retrieved fact: anything.`,
    [shown(FIRST, LIMA)]: `${rest(SECOND, shown(FIRST, LIMA))}Retrieved fact:`,
    [shown(SECOND, THAI)]: `${rest(WHOLE, shown(SECOND, THAI))} Spanish\n\nQuestion: Another?`,
  }
  const run = (answers: Readonly<Record<string, string>>, change: Partial<QuestionLoop> = {}) =>
    answerInSteps(modelOf(answers), loopOf('free', change), [PROMPT], retrieve)

  test('gets the facts for its subquestions, and ends before its final answer', async () => {
    expect(await run(GOOD)).toEqual(new Map([[PROMPT, WHOLE]]))
  })

  test.each([
    ['writes no subquestion', '\nI do not know.\nGenerated answer: It is Paris.\nRetrieved fact:'],
    ['asks nothing', '\nSubquestion: \nGenerated answer: It is Paris.\nRetrieved fact:'],
    ['gives no answer of its own', '\nSubquestion: What is the capital of France?\nRetrieved fact:'],
    ['gives its answer another label', '\nSubquestion: What is the capital of France?\nIt is Paris.\nRetrieved fact:'],
    ['names a label within a line', '\nSubquestion: Is the Final answer: in the capital?'],
    [
      'begins another question',
      '\n\nQuestion: Another?\nSubquestion: The capital?\nGenerated answer: No.\nRetrieved fact:',
    ],
    ['writes on without end', ` ${'word '.repeat(60)}`],
    ['asks of what the memory knows nothing', '\nSubquestion: Who?\nGenerated answer: Me.\nRetrieved fact:'],
  ])('fails where it %s', async (_, said) => {
    expect(await run({ [ASKED]: said })).toEqual(new Map())
  })

  test('fails where it asks more than it may', async () => {
    expect(await run(GOOD, { subquestions: 1 })).toEqual(new Map())
  })
})

describe('a program that keeps the format', () => {
  const GOOD = {
    [`${ASKED}\nSubquestion:`]: ' What is the capital of France?\nAnd more',
    [`${ASKED}\nSubquestion: What is the capital of France?\nGenerated answer:`]: ' It is Paris.',
    [`${FIRST}Retrieved fact: ${LIMA.sentence}\nRetrieved fact`]:
      ' contradicts generated answer, so the intermediate answer is:',
    [`${FIRST}Retrieved fact: ${LIMA.sentence}\n${CONTRADICTS}`]: ' Lima\n',
    [`${FIRST}Retrieved fact: ${LIMA.sentence}\n${CONTRADICTS} Lima`]: '\nSubquestion:',
    [`${FIRST}Retrieved fact: ${LIMA.sentence}\n${CONTRADICTS} Lima\nSubquestion:`]:
      ' Which language is spoken in Lima?',
    [SECOND.slice(0, -' Spanish.\n'.length)]: ' Spanish.\n',
    [`${SECOND}Retrieved fact: ${THAI.sentence}\nRetrieved fact`]:
      ' does not contradict generated answer, so the intermediate answer is:',
    [`${SECOND}Retrieved fact: ${THAI.sentence}\n${AGREES}`]: ' Spanish',
    [`${SECOND}Retrieved fact: ${THAI.sentence}\n${AGREES} Spanish`]: '\nSubquestion:',
  }
  const run = (model: LanguageModel, prompts = [PROMPT]) =>
    answerInSteps(model, loopOf('constrained'), prompts, retrieve)

  test('has the lines filled in, and takes the final answer after the last subquestion', async () => {
    expect(await run(modelOf(GOOD))).toEqual(new Map([[PROMPT, WHOLE]]))
  })

  test('takes the final answer as soon as that is likelier than a subquestion', async () => {
    const concluded = `${FIRST}Retrieved fact: ${LIMA.sentence}\n${CONTRADICTS} Lima`
    expect(await run(modelOf({ ...GOOD, [concluded]: '\nFinal answer:' }))).toEqual(
      new Map([[PROMPT, `${concluded}\nFinal answer:`]]),
    )
  })

  test('asks a prompt once however often it comes, and one that fails spoils no other', async () => {
    const asked: string[] = []
    const model = modelOf({ ...GOOD, 'E\n\nQuestion: Why?\nSubquestion:': ' \nWhy' }, 4096, asked)
    expect(await run(model, ['Why?', PROMPT, PROMPT])).toEqual(new Map([[PROMPT, WHOLE]]))
    expect(new Set(asked).size).toBe(asked.length)
  })

  test('fails where the model has no room for the text', async () => {
    const room = (WHOLE.match(/[\p{L}\p{N}]+/gu) ?? []).length + 64
    expect((await run(modelOf(GOOD, room))).size).toBe(1)
    expect((await run(modelOf(GOOD, room - 1))).size).toBe(0)
  })
})
