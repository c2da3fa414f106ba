/** Shows the terms of a model that has some, and takes the user's answer. */
import type { ModelPlaces } from '../../models/hub-cache.ts'
import type { KnownModel } from '../../models/known.ts'
import { agree, isAgreed } from '../../models/terms.ts'
import type { Asker } from './asker.ts'
import { wrap } from './columns.ts'

/** How the user can be told and asked. */
export interface TermsTalk {
  /** The user has agreed beforehand, by a flag. */
  readonly accepted: boolean
  /** Absent where nobody can be asked. */
  readonly asker?: Asker
  readonly columns: number
  readonly tell: (line: string) => void
}

/**
 * Shows a model's terms unless they were agreed to before, and remembers an agreement. Blanket consent (`--yes`) is none: terms
 * are agreed to by name.
 */
export async function settleTerms(model: KnownModel, places: ModelPlaces, talk: TermsTalk): Promise<void> {
  const { title, terms } = model
  if (terms === undefined || (await isAgreed(model, places))) return
  talk.tell(`${title} comes with terms: the ${terms.title}, ${terms.url}`)
  for (const line of wrap(terms.summary, talk.columns)) talk.tell(line)
  if (talk.accepted || (talk.asker !== undefined && (await ask(talk.asker, terms.title)))) await agree(model, places)
}

async function ask(asker: Asker, terms: string): Promise<boolean> {
  const choices = [
    { value: 'no', name: 'I do not agree' },
    { value: 'yes', name: `I have read the ${terms} and agree` },
  ] as const
  return (await asker.choose<'no' | 'yes'>('Do you agree to these terms?', choices, 'no')) === 'yes'
}
