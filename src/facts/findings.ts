/**
 * Mistakes in facts that no format refuses, because only the meaning is wrong: a test that asks something else than its kind
 * says, or a case that stands twice. They are looked for by the words alone, so what is found should be looked at: a
 * neighbour about Lake Chad may be a good one for a fact about Chad.
 */
import type { Fact, HopQuestion, Question } from './fact.ts'

/** What can be wrong, by rule, and what comes of it. */
export const FINDINGS = {
  neighbourSubject: 'neighbours that speak of the edited subject: an edit may rightly change their answer',
  paraphraseLeak: 'paraphrases that hold the new target: any model can repeat it',
  aliasSubject: 'aliases that hold the subject itself, at most spelt without accents: they test no other name',
  hopUnchanged: 'one-hop questions whose answer the edit does not change: an unedited model is right too',
  neighbourEdited: 'neighbours that another case edits: they must stay only while each case is edited alone',
  sameCase: 'cases that repeat another one but for spelling',
} as const satisfies Record<string, string>

/** The name of a mistake. */
export type FindingRule = keyof typeof FINDINGS

/** A mistake that was found. */
export interface Finding {
  readonly rule: FindingRule
  /** The fact's id. */
  readonly id: string
  /** The prompt at fault. */
  readonly prompt: string
}

/** Looks for mistakes. */
export function findMistakes(facts: readonly Fact[]): Finding[] {
  const known = collectAnswers(facts)
  const cases = new Set<string>()
  const edited = new Set(facts.map(({ prompt }) => bare(prompt)))
  return facts.flatMap((fact) => {
    const { id, subject, prompt, targetNew, tests } = fact
    const report = (rule: FindingRule, prompts: readonly string[]): Finding[] =>
      prompts.map((found) => ({ rule, id, prompt: found }))
    const key = [subject, prompt, targetNew].map(bare).join('\n')
    const isRepeated = cases.has(key)
    cases.add(key)
    return [
      ...report(
        'neighbourSubject',
        promptsOf(tests.neighbours).filter((text) => holds(text, subject)),
      ),
      ...report(
        'paraphraseLeak',
        tests.paraphrases.filter((text) => quotes(text, targetNew) && !quotes(prompt, targetNew)),
      ),
      ...report(
        'aliasSubject',
        promptsOf(tests.aliases).filter((text) => isSameName(text, fact)),
      ),
      ...report('hopUnchanged', promptsOf(tests.oneHop.filter((hop) => isUnchanged(hop, fact, known)))),
      ...report(
        'neighbourEdited',
        promptsOf(tests.neighbours).filter((text) => edited.has(bare(text)) && bare(text) !== bare(prompt)),
      ),
      ...report('sameCase', isRepeated ? [prompt] : []),
    ]
  })
}

const promptsOf = (questions: readonly Question[]): string[] => questions.map(({ prompt }) => prompt)

/** Without case, accents, punctuation and the blanks around them. */
function bare(text: string): string {
  return text
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
}

/** Whether a text has an answer letter by letter, as words of its own: `.in` is not `in`. */
function quotes(text: string, answer: string): boolean {
  const isInWord = (character = ''): boolean => /[\p{L}\p{M}\p{N}]/u.test(character)
  for (let at = text.indexOf(answer); at !== -1; at = text.indexOf(answer, at + 1)) {
    if (!isInWord(text[at - 1]) && !isInWord(text[at + answer.length])) return true
  }
  return false
}

/** Whether a name stands in a text, as words of its own. A name of signs alone stands nowhere. */
function holds(text: string, name: string): boolean {
  return bare(name) !== '' && ` ${bare(text)} `.includes(` ${bare(name)} `)
}

/**
 * Whether an alias is no other name. Where it is asked in the edit's words, what stands in the subject's place is
 * compared, so the Republic of Chad is another name of Chad; else the subject may not occur.
 */
function isSameName(text: string, { prompt, subject, subjectSpan: [start, end] }: Fact): boolean {
  const [before, after] = [prompt.slice(0, start), prompt.slice(end)]
  const isInPlace = text.startsWith(before) && text.endsWith(after) && text.length > before.length + after.length
  if (!isInPlace) return holds(text, subject)
  return bare(text.slice(before.length, text.length - after.length)) === bare(subject)
}

/** Answers that hold before the edits, by prompt: of the facts themselves and of all that is asked beside them. */
function collectAnswers(facts: readonly Fact[]): Map<string, readonly string[]> {
  const answers = new Map<string, readonly string[]>()
  for (const { prompt, targetOld, tests } of facts) {
    const seconds = tests.oneHop.flatMap(({ secondFact }) => (secondFact === undefined ? [] : [secondFact]))
    for (const question of [...tests.neighbours, ...tests.otherRelations, ...seconds]) {
      answers.set(bare(question.prompt), question.targets.map(bare))
    }
    if (targetOld !== undefined) answers.set(bare(prompt), [bare(targetOld)])
  }
  return answers
}

/**
 * Whether a hop has the same answer before the edit: one that the file gives, that of the fact itself, that of another relation of the subject, or
 * that of the second fact asked of the old target, where the file tells it.
 */
function isUnchanged(hop: HopQuestion, fact: Fact, known: ReadonlyMap<string, readonly string[]>): boolean {
  const { targetNew, targetOld, tests } = fact
  const answers = new Set(hop.targets.map(bare))
  const isAnswer = (text: string): boolean => answers.has(bare(text))
  if ([targetOld ?? '', ...(hop.targetsOld ?? [])].some((old) => old !== '' && isAnswer(old))) return true
  if (tests.otherRelations.some(({ targets }) => targets.some(isAnswer))) return true
  if (hop.secondFact === undefined || targetOld === undefined) return false
  const second = hop.secondFact.prompt
  if (!second.includes(targetNew)) return false
  return known.get(bare(second.replace(targetNew, () => targetOld)))?.some((answer) => answers.has(answer)) ?? false
}
