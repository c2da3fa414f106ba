/** What editors refuse alike: nothing to edit, more than they can edit at once, and too little to learn from. */
import { WhicheditError } from '../../errors.ts'
import type { Fact } from '../../facts/fact.ts'
import type { Editor } from '../editor.ts'

/**
 * Gives back the facts of an edit, of which there is at least one.
 * @throws E_NO_FACTS for an empty list, E_BATCH for several facts where the editor takes one.
 */
export function checkFacts(
  editor: Pick<Editor, 'title' | 'batch'>,
  facts: readonly Fact[],
): readonly [Fact, ...Fact[]] {
  const [first, ...rest] = facts
  if (first === undefined) throw new WhicheditError('E_NO_FACTS', { title: editor.title })
  if (editor.batch === 'one' && rest.length > 0) {
    throw new WhicheditError('E_BATCH', { title: editor.title, found: facts.length })
  }
  return [first, ...rest]
}

/**
 * Gives back what a method is to learn from, facts or what is taken of them.
 * @throws E_TRAINING_FACTS for fewer than `least`.
 */
export function checkTrainingFacts<T>(
  { title }: Pick<Editor, 'title'>,
  facts: readonly T[],
  least: number,
): readonly T[] {
  if (facts.length < least) throw new WhicheditError('E_TRAINING_FACTS', { title, least, found: facts.length })
  return facts
}
