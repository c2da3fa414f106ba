/** How a model's tokenizer cuts a fact: where locate-then-edit methods would take hold of the subject, and what is to be said. */
import { WhicheditError } from '../../errors.ts'
import type { Fact } from '../../facts/fact.ts'
import { type Tokenizer, tokenOfSpan } from '../../models/tokenizer.ts'

/** A fact's tokens, as texts. */
export interface TokenView {
  readonly id: string
  /** The tokens that hold the subject, up to its last one. */
  readonly subject: readonly string[]
  readonly target: readonly string[]
  /** Why the subject's last token cannot be used, if it cannot. */
  readonly problem: string | null
}

/** Cuts a fact's subject, where it stands in the prompt, and its new target, as it follows the prompt after a space. */
export async function viewTokens(fact: Fact, tokenizer: Tokenizer): Promise<TokenView> {
  const { id, prompt, subjectSpan, targetNew } = fact
  const encoding = await tokenizer.encode(prompt)
  const [start, end] = subjectSpan
  const inSubject = encoding.offsets.filter(([from, to]) => from < end && to > start)
  const target = await tokenizer.encodeContinuation(` ${targetNew}`)
  return {
    id,
    subject: inSubject.map(([from, to]) => prompt.slice(from, to)),
    target: await Promise.all(Array.from(target, (token) => tokenizer.decode([token]))),
    problem: findProblem(() => tokenOfSpan(encoding, subjectSpan)),
  }
}

function findProblem(locate: () => unknown): string | null {
  try {
    locate()
    return null
  } catch (error) {
    if (error instanceof WhicheditError && error.code === 'E_SUBJECT_SPLIT') return error.message
    throw error
  }
}
