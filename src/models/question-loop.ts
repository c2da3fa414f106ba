/**
 * A question answered in steps (MeLLo's loop): the model asks itself a subquestion and answers it, a memory shows the fact it
 * holds about that, the model says whether the two contradict and what therefore is true, until it has the final answer.
 *
 *   Question: x
 *   Subquestion: …                    the model
 *   Generated answer: …               the model
 *   Retrieved fact: …                 the memory, for the subquestion
 *   Retrieved fact contradicts …      the model; or does not; and the answer that follows
 *   Final answer:                     here the text ends, and x is answered by going on with it
 *
 * So a target is scored, and an answer written, after the same text. Zhong et al. 2023, figure 3; prompts take the steps together,
 * so that what their texts begin with is computed once.
 */
import type { LanguageModel } from './model.ts'
import type { ContextEntry, QuestionLoop } from './patch.ts'

const QUESTION = 'Question:'
const SUBQUESTION = 'Subquestion:'
const ANSWER = 'Generated answer:'
const FACT = 'Retrieved fact'
const FINAL = 'Final answer:'
/** What follows "Retrieved fact" where it is judged. */
const VERDICTS = ['contradicts', 'does not contradict'].map(
  (verdict) => `${verdict} generated answer, so the intermediate answer is:`,
)
/** Where the model has written as far as it may: the memory's turn, the end, or another question. */
const MARKS = [`${FACT}:`, FINAL, `\n${QUESTION}`]
/** More than the longest label takes, in a small vocabulary. */
const LABEL_TOKENS = 64

/** A prompt on its way, and its text so far. */
interface Draft {
  readonly prompt: string
  readonly text: string
}

/** A subquestion, and the text up to the fact that is retrieved for it. */
interface Asking extends Draft {
  readonly subquestion: string
}

/** Finds the fact that a memory has for each subquestion. */
export type Retrieve = (subquestions: readonly string[]) => Promise<readonly (ContextEntry | null)[]>

/**
 * The text with which each prompt is answered, up to the label of the final answer. A prompt is missing for which the steps
 * failed: the model broke the format, wrote nothing in a place, found no fact, came to no end, or has no room for the text.
 * @param model the unedited model
 */
export async function answerInSteps(
  model: LanguageModel,
  loop: QuestionLoop,
  prompts: readonly string[],
  retrieve: Retrieve,
): Promise<ReadonlyMap<string, string>> {
  const begun = [...new Set(prompts)].map((prompt) => ({ prompt, text: `${loop.examples}${QUESTION} ${prompt}` }))
  const run = loop.format === 'free' ? writeFreely : fillIn
  const finished = await withRoom(model, loop, await run(model, loop, begun, retrieve))
  return new Map(finished.map(({ prompt, text }) => [prompt, text]))
}

/** The model keeps the format itself, of which only the retrieved fact is written for it. */
async function writeFreely(
  model: LanguageModel,
  loop: QuestionLoop,
  begun: readonly Draft[],
  retrieve: Retrieve,
): Promise<Draft[]> {
  const finished: Draft[] = []
  let open = begun
  for (let asked = 0; asked <= loop.subquestions; asked++) {
    const said = await writeOn(model, loop, open, MARKS)
    finished.push(...said.flatMap(({ prompt, text, written }) => endOf(written, { prompt, text })))
    const asking = said.flatMap(({ prompt, text, written }) => subquestionOf(written, { prompt, text }))
    open = await showFacts(asking, retrieve)
  }
  return finished
}

/** The program writes the labels; the model fills in the lines, and says by likelihood which of two labels follows. */
async function fillIn(
  model: LanguageModel,
  loop: QuestionLoop,
  begun: readonly Draft[],
  retrieve: Retrieve,
): Promise<Draft[]> {
  const finished: Draft[] = []
  let open = append(begun, `\n${SUBQUESTION}`)
  for (let asked = 1; open.length > 0; asked++) {
    const subquestions = await fillLine(model, loop, open)
    const answered = await fillLine(model, loop, append(subquestions, `\n${ANSWER}`))
    const lines = new Map(subquestions.map(({ prompt, line }) => [prompt, line]))
    const asking = append(answered, '\n').map((draft) => ({ ...draft, subquestion: lines.get(draft.prompt) ?? '' }))
    const judged = await choose(model, loop, append(await showFacts(asking, retrieve), `\n${FACT}`), VERDICTS)
    const concluded = await fillLine(model, loop, judged.flat())
    const [on = [], end = []] =
      asked === loop.subquestions
        ? [[], append(concluded, `\n${FINAL}`)]
        : await choose(model, loop, concluded, [`\n${SUBQUESTION}`, `\n${FINAL}`])
    finished.push(...end)
    open = on
  }
  return finished
}

/** The text up to the final answer, if that is what the model came to first. */
function endOf(written: string, { prompt, text }: Draft): Draft[] {
  const { mark, before } = firstMark(written)
  return mark === FINAL && endsLine(before) ? [{ prompt, text: `${text}${before}${FINAL}` }] : []
}

/** The subquestion before the fact, if the model came to one first and has asked and answered as it should. */
function subquestionOf(written: string, { prompt, text }: Draft): Asking[] {
  const { mark, before } = firstMark(written)
  const [asked = '', answer = ''] = before.trimEnd().split('\n').slice(-2)
  const subquestion = asked.startsWith(SUBQUESTION) ? asked.slice(SUBQUESTION.length).trim() : ''
  const keeps = mark === `${FACT}:` && endsLine(before) && subquestion !== '' && answer.startsWith(ANSWER)
  return keeps ? [{ prompt, text: text + before, subquestion }] : []
}

function endsLine(text: string): boolean {
  return text.endsWith('\n')
}

/** The mark that comes first in a text, and what comes before it. */
function firstMark(text: string): { mark: string | null; before: string } {
  const found = MARKS.map((mark) => ({ mark, at: text.indexOf(mark) })).filter(({ at }) => at >= 0)
  const [first] = found.sort((one, other) => one.at - other.at)
  return first === undefined ? { mark: null, before: text } : { mark: first.mark, before: text.slice(0, first.at) }
}

/** Puts the fact that a memory has for it under each subquestion; without those for which it has none. */
async function showFacts(asking: readonly Asking[], retrieve: Retrieve): Promise<Draft[]> {
  const entries = await retrieve(asking.map(({ subquestion }) => subquestion))
  return asking.flatMap(({ prompt, text }, i) => {
    const entry = entries[i] ?? null
    return entry === null ? [] : [{ prompt, text: `${text}${FACT}: ${entry.sentence}` }]
  })
}

function append(drafts: readonly Draft[], end: string): Draft[] {
  return drafts.map(({ prompt, text }) => ({ prompt, text: text + end }))
}

/** Has the model fill in what follows a label, to the end of the line; without those for which it writes nothing there. */
async function fillLine(
  model: LanguageModel,
  loop: QuestionLoop,
  drafts: readonly Draft[],
): Promise<(Draft & { readonly line: string })[]> {
  const said = await writeOn(model, loop, drafts, ['\n'])
  return said.flatMap(({ prompt, text, written }) => {
    const [first = ''] = written.split('\n')
    const line = first.trim()
    return line === '' ? [] : [{ prompt, text: `${text} ${line}`, line }]
  })
}

/** What the model writes after each text that it has room for. */
async function writeOn(
  model: LanguageModel,
  loop: QuestionLoop,
  drafts: readonly Draft[],
  stop: readonly string[],
): Promise<(Draft & { readonly written: string })[]> {
  const fitting = await withRoom(model, loop, drafts)
  const texts = fitting.map(({ text }) => text)
  const said = await model.generate(texts, { maxNewTokens: loop.maxNewTokens, stop })
  return fitting.map((draft, i) => ({ ...draft, written: said[i]?.text ?? '' }))
}

/** Puts after each text that of the ends which is the likelier there; by end, in their order. */
async function choose(
  model: LanguageModel,
  loop: QuestionLoop,
  drafts: readonly Draft[],
  ends: readonly string[],
): Promise<Draft[][]> {
  const fitting = await withRoom(model, loop, drafts)
  const scores = await model.score(fitting.flatMap(({ text }) => ends.map((target) => ({ prompt: text, target }))))
  const totals = scores.map(({ logProbs }) => logProbs.reduce((sum, value) => sum + value, 0))
  const chosen = fitting.map((_, i) => {
    const own = totals.slice(i * ends.length, (i + 1) * ends.length)
    return own.indexOf(Math.max(...own))
  })
  return ends.map((end, which) =>
    append(
      fitting.filter((_, i) => chosen[i] === which),
      /^\s/.test(end) ? end : ` ${end}`,
    ),
  )
}

/** Those of the drafts after which the model has room for what may follow, a label included. */
async function withRoom(model: LanguageModel, loop: QuestionLoop, drafts: readonly Draft[]): Promise<Draft[]> {
  const room = model.config.contextLength - Math.max(loop.maxNewTokens, LABEL_TOKENS)
  const lengths = await Promise.all(
    drafts.map(async ({ text }) => {
      const { ids } = await model.tokenizer.encode(text)
      return ids.length
    }),
  )
  return drafts.filter((_, i) => (lengths[i] ?? 0) <= room)
}
