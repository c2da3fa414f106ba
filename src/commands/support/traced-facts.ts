/** The facts that `trace` follows: one that is written on the command line, or those of a file that the model knows. */
import type { Context } from '../../context.ts'
import type { TracedFact } from '../../editors/steps/causal-trace.ts'
import { WhicheditError } from '../../errors.ts'
import { drawKnownFacts } from '../../evidence/known-facts.ts'
import { readFacts } from '../../facts/index.ts'
import type { LanguageModel } from '../../models/model.ts'
import { printable } from '../../printable.ts'
import { answerIn } from '../../probes/answer.ts'

const ANSWER_TOKENS = 12

/** A prompt with its subject in braces, and the answer: the one given, or the model's own. @throws E_TRACED_PROMPT, E_NOTHING_KNOWN */
export async function oneFact(model: LanguageModel, text: string, given: string | undefined): Promise<TracedFact> {
  const [, before, subject, after] = /^([^{}]*)\{([^{}]+)\}([^{}]*)$/.exec(text) ?? []
  if (before === undefined || subject === undefined || after === undefined) {
    throw new WhicheditError('E_TRACED_PROMPT', { found: printable(text) })
  }
  const prompt = `${before}${subject}${after}`.trimEnd()
  const [written] = await model.generate([prompt], { maxNewTokens: ANSWER_TOKENS, stop: ['\n'] })
  const answer = given ?? answerIn(written?.text ?? '', prompt).trim()
  if (answer === '') throw new WhicheditError('E_NOTHING_KNOWN', { facts: printable(text) })
  return { prompt, subjectSpan: [before.length, before.length + subject.length], answer }
}

/** Facts whose old answer the model would say itself, token after token. @throws E_NOTHING_KNOWN */
export async function knownFacts(
  model: LanguageModel,
  file: string,
  count: number,
  ctx: Context,
): Promise<TracedFact[]> {
  const { facts } = await readFacts(file)
  const known = await drawKnownFacts(model, facts, { count, random: ctx.random })
  if (known.length === 0) throw new WhicheditError('E_NOTHING_KNOWN', { facts: printable(file) })
  return known.map(({ targetOld, ...fact }) => ({ ...fact, answer: targetOld }))
}
