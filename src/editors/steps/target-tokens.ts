/**
 * A prompt led along the answer it is to give (teacher forcing): what every method with a gradient feeds and scores.
 *
 * The target is tokenised on its own with one space before it, without a begin-of-text token, and put after the prompt's
 * tokens. That is where public code goes wrong unnoticed: a begin-of-text token inside the target, or a second space
 * before it, trains the model to say just that.
 */
import type { Tokenizer } from '../../models/tokenizer.ts'

/** A prompt and its target as tokens. */
export interface TargetTokens {
  readonly prompt: Int32Array
  /** At least one token. */
  readonly target: Int32Array
  /** The prompt, then the target without its last token: the row to feed. Its last `target.length` positions predict the target. */
  readonly row: Int32Array
}

/** Tokenises a prompt and the target that is to follow it after a space. */
export async function tokenizeTarget(tokenizer: Tokenizer, prompt: string, target: string): Promise<TargetTokens> {
  const { ids } = await tokenizer.encode(prompt)
  const targetIds = await tokenizer.encodeContinuation(` ${target}`)
  return { prompt: ids, target: targetIds, row: Int32Array.of(...ids, ...targetIds.slice(0, -1)) }
}

/** A place of a token batch with the token to be predicted there, as a loss term wants them. */
export interface WeightedTarget {
  readonly row: number
  readonly token: number
  readonly target: number
  readonly weight: number
}

/**
 * The places of a row that predict its target, each weighing `weight / T` for a target of `T` tokens: their weighted
 * negative log-likelihoods add up to `weight` times the mean over the target.
 */
export function forceTarget(tokens: TargetTokens, row: number, weight: number): WeightedTarget[] {
  return Array.from(tokens.target, (target, i) => ({
    row,
    token: tokens.prompt.length - 1 + i,
    target,
    weight: weight / tokens.target.length,
  }))
}
