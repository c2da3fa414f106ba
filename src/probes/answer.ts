/**
 * Judging what a model wrote. Two questions, each with both readings: does an answer say one of the targets (gain), and
 * does the edited model answer as the unedited one does (kept)?
 *
 * Free reading. The answer is the first sentence of the generated text, after a word-for-word repetition of the prompt has
 * been dropped: a model that repeats the question has not answered it. Answers and targets are compared as words: NFKC,
 * lower case, no punctuation, no possessive 's, no articles (METRICS of the "LLM-judge" fallback in EasyEdit, on words
 * instead of characters, so that `5` is not found in `15`, in `2.5` or in `1,500`). In scripts that put no blanks between
 * words each character counts as a word. A target counts wherever it begins within the first sentence, also after a
 * negation or beside a rival: the rule reads words, not meaning.
 *
 * Teacher-forced reading. Gain: token accuracy, mean(argmax = target), as `rewrite_acc` of EasyEdit. Kept: mean(argmax of
 * the edited = argmax of the unedited) along the gold answer, as EasyEdit's locality; the gold answer need not be right.
 */
import { WhicheditError } from '../errors.ts'
import type { Judgement, ProbeAnswers, Reading } from './probe.ts'

/** Judges whether the edited model says one of the item's targets. */
export function judgeGain({ item, edited }: ProbeAnswers): Judgement {
  return { value: saysTarget(edited.text, item.prompt, item.targets) ? 1 : 0, teacherForced: tokenAccuracy(edited) }
}

/** Judges whether the edited model answers as the unedited one; an unchanged model gets exactly 1 in both readings. */
export function judgeKept({ item, base, edited }: ProbeAnswers): Judgement {
  const same = hasSameStart(answerIn(base.text, item.prompt), answerIn(edited.text, item.prompt), item.targets[0])
  return { value: same ? 1 : 0, teacherForced: tokenAgreement(base, edited) }
}

/** Tells whether the first sentence a model wrote after `prompt` holds one of the targets as whole words. */
export function saysTarget(text: string, prompt: string, targets: readonly string[]): boolean {
  const line = firstLine(withoutEcho(text, prompt))
  const sentence = firstSentence(line)
  return targets.some((target) => beginsWithin(line, sentence, target))
}

/** The answer in a generated text: its first sentence, after a repetition of the prompt. */
export function answerIn(text: string, prompt: string): string {
  return firstSentence(firstLine(withoutEcho(text, prompt)))
}

/** Tells whether two answers agree in their first words, as many as the gold answer has, at least one. */
export function hasSameStart(one: string, other: string, gold: string): boolean {
  const count = Math.max(1, dropArticles(words(gold)).length)
  const [a, b] = [one, other].map((answer) => dropArticles(words(answer)).slice(0, count))
  if (a === undefined || b === undefined) return false
  // Answers without a word (`!!!`, `🎉`) are compared as they stand.
  return a.length === 0 && b.length === 0 ? one.trim() === other.trim() : isSame(a, b)
}

/** The share of target tokens that the model would have said itself. @throws E_INTERNAL for readings that do not match. */
export function tokenAccuracy(reading: Reading): number {
  return shareEqual(reading.argmax, reading.targetIds)
}

/** The share of target positions at which two models would have said the same. @throws E_INTERNAL for readings that do not match. */
export function tokenAgreement(one: Reading, other: Reading): number {
  return shareEqual(one.argmax, other.argmax)
}

function shareEqual(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length || a.length === 0) {
    throw new WhicheditError('E_INTERNAL', { what: `a reading of ${a.length} tokens beside one of ${b.length}` })
  }
  return a.filter((id, index) => id === b[index]).length / a.length
}

function withoutEcho(text: string, prompt: string): string {
  const start = text.trimStart()
  const echo = prompt.trim()
  const isEcho = start.slice(0, echo.length).toLowerCase() === echo.toLowerCase()
  return isEcho ? start.slice(echo.length).trimStart() : start
}

function firstLine(text: string): string {
  return text.split(/[\r\n\u2028\u2029]/, 1)[0] ?? ''
}

/** Marks that end a sentence: full-width ones always, the others before a blank or the end, with closing quotes. */
const SENTENCE_END = /[。！？｡]|[.!?…]+["'”’»)\]]*(?=\s|$)/gu

/** What a full stop after it does not end: an initial (`J. R. R. Tolkien`), an acronym (`U.S.`) or a title. */
const ABBREVIATION =
  /(?<![\p{L}\p{N}])(?:\p{L}(?:\.\p{L})*|Capt|Col|Dr|Ft|Gen|Hon|Jr|Lt|Mr|Mrs|Ms|Mt|Prof|Rev|Sr|St|vs)\.$/u

/** The first sentence of a line, without the mark that ends it. */
export function firstSentence(line: string): string {
  for (const match of line.matchAll(SENTENCE_END)) {
    if (!ABBREVIATION.test(line.slice(0, match.index + 1))) return line.slice(0, match.index)
  }
  return line
}

function beginsWithin(line: string, sentence: string, target: string): boolean {
  const wanted = words(target)
  if (wanted.length === 0) return target.trim() !== '' && line.includes(target.trim())
  // `Vitamin A`: without its article the target would be another thing, so all words are compared.
  const keepArticles = ARTICLES.has(wanted.at(-1) ?? '')
  const read = (text: string) => (keepArticles ? words(text) : dropArticles(words(text)))
  const all = read(line)
  const sequence = read(target)
  // A target may hold the mark that ended the sentence (`Yahoo! Inc`): only its beginning must lie within.
  return all.slice(0, read(sentence).length).some((_, at) => isSame(all.slice(at, at + sequence.length), sequence))
}

const ARTICLES: ReadonlySet<string> = new Set(['a', 'an', 'the'])

function dropArticles(all: readonly string[]): readonly string[] {
  return all.filter((word) => !ARTICLES.has(word))
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index])
}

/** Letters and digits with their marks; a number keeps its sign and decimals, `C++` its signs. */
const WORD = /(?:(?<![\p{L}\p{N}])-(?=\d))?[\p{L}\p{M}\p{N}]+(?:(?<=\d)\.\d+)*(?:(?<=\p{L})\++)?/gu
const POSSESSIVE = /['’]s(?![\p{L}\p{N}])/gu
const APOSTROPHE = /(?<=\p{L})['’](?=\p{L})/gu
const ACRONYM = /(?<!\p{L})(?:\p{L}\.)+\p{L}(?!\p{L})/gu
const THOUSANDS = /(?<=\d),(?=\d{3}(?!\d))/g
/** A character of a script that is written without blanks, or, as Korean, with particles attached to the word. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]\p{M}*/gu

/** The words of a text in the form in which answers are compared; articles are still among them. */
export function words(text: string): string[] {
  const plain = text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\p{Cf}/gu, '')
    .replace(/−/g, '-')
    .replace(POSSESSIVE, '')
    .replace(APOSTROPHE, '')
    .replace(ACRONYM, (letters) => letters.replaceAll('.', ''))
    .replace(THOUSANDS, '')
    .replace(UNSPACED, ' $& ')
  return plain.match(WORD) ?? []
}
