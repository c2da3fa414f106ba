/**
 * What a network is told of an edit: "prediction >> alternative || question", as the vectors of its tokens.
 *
 * The prediction is what the model writes after the prompt, likeliest token by likeliest, no longer than the alternative, which is the
 * new target; the question is the prompt. The vectors are the model's own, as they are. De Cao et al. 2021, §4; the wording is that of
 * nicola-decao/KnowledgeEditor `seq2seq_augmented_kilt.py`.
 */
import type { Fact } from '../../facts/fact.ts'
import type { LanguageModel } from '../../models/model.ts'

/** The tokens of what it is told. */
export type Condition = Int32Array

/** The conditions of edits, for which the model writes its predictions together. */
export async function readConditions(
  model: LanguageModel,
  edits: readonly Pick<Fact, 'prompt' | 'targetNew'>[],
  signal: AbortSignal,
): Promise<Condition[]> {
  const { tokenizer } = model
  const lengths = await Promise.all(
    edits.map(async ({ targetNew }) => (await tokenizer.encodeContinuation(` ${targetNew}`)).length),
  )
  const written = await model.generate(
    edits.map(({ prompt }) => prompt),
    { maxNewTokens: Math.max(1, ...lengths), signal },
  )
  return Promise.all(
    edits.map(async ({ prompt, targetNew }, i) => {
      const prediction = await tokenizer.decodeContinuation(written[i]?.ids.slice(0, lengths[i]) ?? [])
      return tokenizer.encodeContinuation(`${prediction.trim()} >> ${targetNew} || ${prompt}`)
    }),
  )
}
