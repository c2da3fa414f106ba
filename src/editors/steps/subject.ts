/**
 * Where a text speaks of the fact's subject: the subject's last token is where models recall what they know of it
 * (Meng et al. 2022, §2.2). The whole text is tokenised once and the token found by character offsets, so neither a
 * begin-of-text token nor a merge across the subject's left edge can shift it; public code counts the tokens of pieces.
 */
import type { Fact } from '../../facts/fact.ts'
import { type Tokenizer, tokenOfSpan } from '../../models/tokenizer.ts'

/** A text that holds a subject. */
export interface SubjectText {
  readonly text: string
  /** Where the subject stands, in UTF-16 units [start, end). */
  readonly span: readonly [number, number]
}

/** Such a text as tokens. */
export interface SubjectTokens {
  readonly ids: Int32Array
  /** Index of the subject's last token. */
  readonly subject: number
}

/** The fact's prompt after a prefix. Prefixes are put before, never formatted into: braces in a fact stay what they are. */
export function promptAfter(prefix: string, { prompt, subjectSpan: [start, end] }: Fact): SubjectText {
  return { text: prefix + prompt, span: [prefix.length + start, prefix.length + end] }
}

/**
 * The prefixes after which the subject's last token is not the first of the text. There every word has nearly the same
 * key, many times longer than any other (an attention sink: Xiao et al. 2024, arXiv 2309.17453; Sun et al. 2024, arXiv
 * 2402.17762), so that an edit keyed on it fires wherever a text begins. Where nothing helps, all prefixes are given back;
 * a model with a begin-of-text token never has the subject there.
 */
export async function prefixesOffStart(
  tokenizer: Tokenizer,
  prefixes: readonly string[],
  textAfter: (prefix: string) => SubjectText,
): Promise<readonly string[]> {
  const places = await Promise.all(prefixes.map((prefix) => tokenizeSubject(tokenizer, textAfter(prefix))))
  const kept = prefixes.filter((_, i) => places[i]?.subject !== 0)
  return kept.length > 0 ? kept : prefixes
}

/** Tokenises a text and finds the subject's last token. @throws E_SUBJECT_SPLIT where a token runs over the subject's end. */
export async function tokenizeSubject(tokenizer: Tokenizer, { text, span }: SubjectText): Promise<SubjectTokens> {
  const encoding = await tokenizer.encode(text)
  return { ids: encoding.ids, subject: tokenOfSpan(encoding, span).last }
}
