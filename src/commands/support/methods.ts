/** The methods a user names on the command line. */
import type { Editor } from '../../editors/editor.ts'
import { EDITORS } from '../../editors/index.ts'
import { WhicheditError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { suggest } from '../../suggest.ts'

const ALL: Readonly<Record<string, Editor>> = EDITORS

/** Every method, in the order of the registry. */
export function allMethods(): readonly Editor[] {
  return Object.values(ALL)
}

/**
 * The method of that name.
 * @throws E_METHOD for a word that names none.
 */
export function findMethod(word: string): Editor {
  const found = Object.hasOwn(ALL, word) ? ALL[word] : undefined
  if (found !== undefined) return found
  const [nearest] = suggest(word, Object.keys(ALL))
  const hint = nearest === undefined ? '' : ` Did you mean "${nearest}"?`
  throw new WhicheditError('E_METHOD', { known: Object.keys(ALL).join(', '), found: printable(word), hint })
}

/**
 * The methods of a list such as `rome,ike`, each once and in the order given; all of them where there is no list.
 * @throws E_METHOD for a word that names none.
 */
export function chooseMethods(list: string | undefined): readonly Editor[] {
  if (list === undefined) return allMethods()
  return [...new Set(list.split(',').map((word) => word.trim()))].map(findMethod)
}
