/** Which facts are tried, and which of the others a method may learn from. */
import type { Random } from '../tensor/random.ts'
import type { Fact, FactTests } from './fact.ts'

/**
 * Draws `count` facts to be tried, from the stream `cases` of `random`; all, where there are fewer. Relations take turns, so that
 * one with very many facts does not crowd out the others, and facts of different subjects come first, since facts of one subject
 * are not independent. More cases from the same seed begin with the same ones, so that a longer run keeps the records of a
 * shorter one.
 */
export function chooseCases(facts: readonly Fact[], count: number, random: Random): Fact[] {
  const subjects = new Set<string>()
  const repeats: Fact[] = []
  const chosen: Fact[] = []
  for (const fact of takeTurns(random.stream('cases').shuffle(facts))) {
    const key = fold(fact.subject)
    if (subjects.has(key)) repeats.push(fact)
    else chosen.push(fact)
    subjects.add(key)
  }
  return [...chosen, ...repeats].slice(0, count)
}

/** The facts that are about none of these subjects. */
export function leaveOutSubjects(facts: readonly Fact[], subjects: readonly string[]): Fact[] {
  const left = new Set(subjects.map(fold))
  return facts.filter(({ subject }) => !left.has(fold(subject)))
}

/** How many subjects facts are about. */
export function countSubjects(facts: readonly Fact[]): number {
  return new Set(facts.map(({ subject }) => fold(subject))).size
}

/** The first fact of each relation, then the second of each, and so on; facts without a relation are of one. */
function takeTurns(facts: readonly Fact[]): Fact[] {
  const seen = new Map<string | undefined, number>()
  const rounds: Fact[][] = []
  for (const fact of facts) {
    const round = seen.get(fact.relation) ?? 0
    seen.set(fact.relation, round + 1)
    const others = rounds[round]
    if (others === undefined) rounds.push([fact])
    else others.push(fact)
  }
  return rounds.flat()
}

/**
 * The facts a method may learn from (demonstrations, training): none about a subject of the cases, and none of their tests
 * speaks of one. So nothing that is asked of a case was seen before, neither its new answer nor its old one.
 */
export function chooseMaterial(facts: readonly Fact[], cases: readonly Fact[]): Fact[] {
  const subjects = [...new Set(cases.map((fact) => fold(fact.subject)))]
  const isFree = (text: string): boolean => {
    const folded = fold(text)
    return !subjects.some((subject) => speaksOf(folded, subject))
  }
  return facts.filter((fact) => isFree(fact.prompt)).map((fact) => ({ ...fact, tests: keepTests(fact.tests, isFree) }))
}

function keepTests(tests: FactTests, isFree: (text: string) => boolean): FactTests {
  const keep = <Q extends { readonly prompt: string }>(questions: readonly Q[]): Q[] =>
    questions.filter(({ prompt }) => isFree(prompt))
  return {
    paraphrases: tests.paraphrases.filter(isFree),
    neighbours: keep(tests.neighbours),
    otherRelations: keep(tests.otherRelations),
    aliases: keep(tests.aliases),
    reversed: keep(tests.reversed),
    oneHop: keep(tests.oneHop),
  }
}

/** A letter of a script that puts blanks between words, or a digit. */
const IN_WORD = /[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{M}\p{N}]/u
/** Subjects of fewer letters are no beginnings of words about them: Man is not in Manchester, but Iran in Iranian. */
const SHORTEST_STEM = 4

/** Whether a text has a subject at the beginning of a word: the tin is not in the continent. */
function speaksOf(text: string, subject: string): boolean {
  const isLetter = (character = ''): boolean => IN_WORD.test(character)
  for (let at = text.indexOf(subject); at !== -1; at = text.indexOf(subject, at + 1)) {
    const end = at + subject.length
    const goesOn = subject.length < SHORTEST_STEM && isLetter(text[end - 1]) && isLetter(text[end])
    if (!goesOn && !(isLetter(text[at]) && isLetter(text[at - 1]))) return true
  }
  return false
}

function fold(text: string): string {
  return text.toLowerCase()
}
