/**
 * Makes a fact of a draft, in one place for all data sets: Unicode NFC, no blanks around prompts and targets, `{}` filled
 * with the subject, the subject's place in the prompt, a stable id. What cannot be mended is refused with its record.
 *
 * Flaws that published sets are known to have are left out and counted; in a file that the user wrote by hand the same
 * flaws are refused, because there they are mistakes. A prompt that lacks its subject is refused everywhere: no editor
 * could place the edit.
 *
 * Which occurrence is the subject, where it stands in the prompt more than once: the place of `{}` if there is one; else
 * the last one that is not part of a longer word (`Chad` in `Chadwick of Chad`), because there a left-to-right model has
 * read most of the prompt; else the last one (scripts without blanks between words). The reference codes replace all
 * occurrences and then stop on an assertion.
 */
import { createHash } from 'node:crypto'
import type { Fact, FactTests, HopQuestion, Question } from './fact.ts'
import {
  type DraftHop,
  type DraftQuestion,
  type DraftTests,
  describe,
  type FactDraft,
  refuse,
  type Where,
} from './reader.ts'

interface NoiseSpec {
  /** What was found and what became of it; a number follows. */
  readonly text: string
  /** What a hand-written file should have had; absent where the flaw harms nothing. */
  readonly expected?: string
}

/** Flaws that are not fatal, by rule. */
export const NOISE = {
  noTarget: {
    text: 'records without a new target, left out',
    expected: 'a new target that is not empty',
  },
  noChange: {
    text: 'records whose new target is among their old answers, left out',
    expected: 'a new target that differs from the old answer',
  },
  noAnswer: {
    text: 'test prompts that are empty or have no answer, left out',
    expected: 'a test prompt with at least one answer',
  },
  editPrompt: {
    text: "test prompts that are the edit's own prompt, left out",
    expected: "a test prompt that is not the edit's own prompt",
  },
  sameTest: { text: 'test prompts that a fact has more than once, taken once' },
  sameEdit: { text: 'records that repeat an earlier edit, taken as one fact with it, with the tests of both' },
  conflict: { text: 'facts that give the prompt of an earlier fact another new target, kept' },
} as const satisfies Record<string, NoiseSpec>

/** The name of a flaw that is not fatal. */
export type NoiseRule = keyof typeof NOISE

/** Takes note of a flaw. @throws E_FACT if the file is to have none. */
export type NoteFlaw = (rule: NoiseRule, where: Where, found: string) => void

/** Makes the error for a flaw that a hand-written file must not have; undefined for a harmless one. */
export function refuseFlaw(rule: NoiseRule, where: Where, found: string): Error | undefined {
  const { expected }: NoiseSpec = NOISE[rule]
  return expected === undefined ? undefined : refuse(where, expected, found, 'Correct it or take it out.')
}

/**
 * Makes a fact of a draft; undefined where it was left out.
 * @throws E_FACT for a subject that is empty or not in the prompt, and for text that is not well-formed.
 */
export function normaliseDraft(draft: FactDraft, where: Where, note: NoteFlaw): Fact | undefined {
  const subject = clean(draft.subject, where)
  if (subject === '') throw refuse(where, 'a subject', 'an empty one', 'Name what the fact is about.')
  const { prompt, subjectSpan } = placeSubject(draft, subject, where)
  const targetNew = clean(draft.targetNew, where)
  const targetsOld = cleanAnswers(draft.targetsOld, where)
  if (targetNew === '') return void note('noTarget', where, describe(draft.targetNew))
  if (targetsOld.includes(targetNew)) return void note('noChange', where, `${describe(targetNew)} as both`)
  const fill = (text: string): string =>
    clean(
      text.replaceAll('{}', () => subject),
      where,
    )
  const tests = cleanTests(draft.tests, { where, note, prompt, fill })
  const id = draft.id === undefined ? hashEdit(subject, prompt, targetNew) : clean(draft.id, where)
  const [targetOld] = targetsOld
  return {
    id,
    subject,
    prompt,
    subjectSpan,
    targetNew,
    ...(targetOld === undefined ? {} : { targetOld }),
    ...(draft.relation === undefined ? {} : { relation: clean(draft.relation, where) }),
    tests,
    ...(draft.review === undefined || draft.review.length === 0 ? {} : { review: draft.review }),
  }
}

/** Unites the tests of two records of one edit. */
export function mergeTests(one: FactTests, other: FactTests): FactTests {
  const ignore = (): void => {}
  return {
    paraphrases: [...new Set([...one.paraphrases, ...other.paraphrases])],
    neighbours: unite([...one.neighbours, ...other.neighbours], ignore),
    otherRelations: unite([...one.otherRelations, ...other.otherRelations], ignore),
    aliases: unite([...one.aliases, ...other.aliases], ignore),
    reversed: unite([...one.reversed, ...other.reversed], ignore),
    oneHop: unite([...one.oneHop, ...other.oneHop], ignore),
  }
}

/** NFC without blanks around it. @throws E_FACT for half of a surrogate pair, which no tokenizer can read. */
function clean(text: string, where: Where): string {
  if (/\p{Cs}/u.test(text)) {
    throw refuse(where, 'well-formed text', `half of a character in ${describe(text)}`, 'Write it anew, as UTF-8.')
  }
  return text.normalize('NFC').trim()
}

function cleanAnswers(answers: readonly string[], where: Where): string[] {
  return [...new Set(answers.map((answer) => clean(answer, where)))].filter((answer) => answer !== '')
}

const PLACE_ADVICE = 'Write the subject in the prompt exactly as in "subject", or put {} in its place.'

function placeSubject(draft: FactDraft, subject: string, where: Where): Pick<Fact, 'prompt' | 'subjectSpan'> {
  const template = clean(draft.prompt, where)
  const [before = '', after, ...more] = template.split('{}')
  if (more.length > 0) {
    throw refuse(where, 'one {} in the prompt', `${more.length + 1} in ${describe(template)}`, PLACE_ADVICE)
  }
  const prompt = after === undefined ? template : before + subject + after
  const start = draft.subjectSpan?.[0] ?? (after === undefined ? findSubject(prompt, subject) : before.length)
  const end = draft.subjectSpan?.[1] ?? start + subject.length
  if (start === -1) {
    throw refuse(
      where,
      `the subject ${describe(subject)} in the prompt`,
      describe(prompt),
      adviseOnMissing(prompt, subject),
    )
  }
  if (prompt.slice(start, end) !== subject) {
    const found = `${describe(prompt.slice(start, end))} at ${start} to ${end}`
    throw refuse(
      where,
      `the subject ${describe(subject)} at subjectSpan`,
      found,
      'Leave subjectSpan out to have it found.',
    )
  }
  return { prompt, subjectSpan: [start, end] }
}

/** The offset of the subject in a prompt (see the head of the file); -1 where it is absent. */
function findSubject(prompt: string, subject: string): number {
  let at = prompt.lastIndexOf(subject)
  const last = at
  while (at !== -1 && isInsideWord(prompt, at, at + subject.length))
    at = at === 0 ? -1 : prompt.lastIndexOf(subject, at - 1)
  return at === -1 ? last : at
}

const ENDS_IN_WORD = /[\p{L}\p{M}\p{N}]$/u
const BEGINS_IN_WORD = /^[\p{L}\p{M}\p{N}]/u

/** Whether a letter or digit touches the span [start, end) from outside, where its own edge is one too. */
function isInsideWord(prompt: string, start: number, end: number): boolean {
  const span = prompt.slice(start, end)
  const touchesLeft = ENDS_IN_WORD.test(prompt.slice(0, start)) && BEGINS_IN_WORD.test(span)
  const touchesRight = BEGINS_IN_WORD.test(prompt.slice(end)) && ENDS_IN_WORD.test(span)
  return touchesLeft || touchesRight
}

function adviseOnMissing(prompt: string, subject: string): string {
  const isThere = prompt.toLowerCase().includes(subject.toLowerCase())
  return isThere ? `It is there in other letters: upper and lower case count. ${PLACE_ADVICE}` : PLACE_ADVICE
}

interface TestContext {
  readonly where: Where
  readonly note: NoteFlaw
  /** The edit's own prompt. */
  readonly prompt: string
  readonly fill: (text: string) => string
}

function cleanTests(tests: DraftTests, context: TestContext): FactTests {
  const questions = (drafts: readonly DraftHop[] = []): HopQuestion[] => {
    const kept = drafts.flatMap((draft) => cleanQuestion(draft, context) ?? [])
    return unite(kept, (prompt) => context.note('sameTest', context.where, describe(prompt)))
  }
  return {
    // A paraphrase is right with the new target, so it needs no answer of its own.
    paraphrases: questions(tests.paraphrases?.map((prompt) => ({ prompt, targets: [prompt] }))).map(
      ({ prompt }) => prompt,
    ),
    neighbours: questions(tests.neighbours),
    otherRelations: questions(tests.otherRelations),
    aliases: questions(tests.aliases),
    reversed: questions(tests.reversed),
    oneHop: questions(tests.oneHop),
  }
}

function cleanQuestion({ secondFact, targetsOld, ...draft }: DraftHop, context: TestContext): HopQuestion | undefined {
  const plain = cleanPlainQuestion(draft, context)
  if (plain === undefined) return undefined
  const question = targetsOld === undefined ? plain : { ...plain, targetsOld: cleanAnswers(targetsOld, context.where) }
  if (secondFact === undefined) return question
  const second = cleanPlainQuestion(secondFact, context)
  return second === undefined ? undefined : { ...question, secondFact: second }
}

function cleanPlainQuestion(draft: DraftQuestion, { where, note, prompt, fill }: TestContext): Question | undefined {
  const asked = fill(draft.prompt)
  const [first, ...others] = cleanAnswers(draft.targets, where)
  if (asked === '' || first === undefined) return void note('noAnswer', where, describe(draft.prompt))
  if (asked === prompt) return void note('editPrompt', where, describe(asked))
  return { prompt: asked, targets: [first, ...others] }
}

/** Takes each prompt once, with the answers of all its occurrences; tells of those that occur again. */
function unite<Q extends Question>(questions: readonly Q[], onRepeat: (prompt: string) => void): Q[] {
  const byPrompt = new Map<string, Q>()
  for (const question of questions) {
    const earlier = byPrompt.get(question.prompt)
    if (earlier === undefined) {
      byPrompt.set(question.prompt, question)
      continue
    }
    onRepeat(question.prompt)
    const [first] = earlier.targets
    const others = new Set([...earlier.targets, ...question.targets])
    others.delete(first)
    byPrompt.set(question.prompt, { ...earlier, targets: [first, ...others] })
  }
  return [...byPrompt.values()]
}

/** Enough hexadecimal digits that among a million edits two ids agree with a chance of one in ten million. */
const ID_DIGITS = 16

function hashEdit(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, ID_DIGITS)
}
