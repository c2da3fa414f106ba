/** The two refusals that every editor shares: nothing to edit, and more than it can edit at once. */
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
