/**
 * Facts as examples to learn editing from: an edit, other wordings that must follow it, and a question that must not.
 *
 * What must not change are neighbours of the fact (other subjects of its relation, with their answers); of a fact that has none,
 * another fact, with the answer before its edit.
 */
import type { Fact } from '../../facts/fact.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { Random } from '../../tensor/random.ts'
import type { Editor } from '../editor.ts'
import { checkTrainingFacts } from './check-facts.ts'
import { type TargetTokens, tokenizeTarget } from './target-tokens.ts'

/** What must follow an edit, and what must stay as it is. */
export interface EditCheck {
  readonly follower: TargetTokens
  readonly bystander: TargetTokens
}

/** A fact to learn from, as tokens. */
export interface EditExample {
  readonly edit: TargetTokens
  /** For its own wording, which is the first, and for each other. */
  readonly checks: readonly [EditCheck, ...EditCheck[]]
}

/** Other wordings of a fact at most: more teach little, and what is computed of each once takes room. */
const MOST_WORDINGS = 3
/** One to learn from and another that must not change. */
const LEAST_FACTS = 2

/** So many facts, drawn by chance where there are more. @throws E_TRAINING_FACTS where there are too few to learn from. */
export function chooseFacts(
  editor: Pick<Editor, 'title'>,
  facts: readonly Fact[],
  { most, random }: { readonly most: number; readonly random: Random },
): Fact[] {
  const enough = checkTrainingFacts(editor, facts, LEAST_FACTS)
  return random.stream('facts to learn from').shuffle(enough).slice(0, most)
}

/** Reads facts as examples, in their order. */
export async function readExamples(
  { tokenizer }: Pick<LanguageModel, 'tokenizer'>,
  chosen: readonly Fact[],
  signal: AbortSignal,
): Promise<EditExample[]> {
  const examples: EditExample[] = []
  for (const [i, fact] of chosen.entries()) {
    signal.throwIfAborted()
    const strange = chosen[(i + 1) % chosen.length] ?? fact
    const { prompt, targetNew, tests } = fact
    const force = (asked: string, target: string) => tokenizeTarget(tokenizer, asked, target)
    const check = async (asked: string, wording: number): Promise<EditCheck> => {
      const near = tests.neighbours[wording % Math.max(1, tests.neighbours.length)]
      const bystander = near ?? { prompt: strange.prompt, targets: [strange.targetOld ?? strange.targetNew] }
      return {
        follower: await force(asked, targetNew),
        bystander: await force(bystander.prompt, bystander.targets[0]),
      }
    }
    const others = tests.paraphrases.slice(0, MOST_WORDINGS).map((other, j) => check(other, 1 + j))
    examples.push({
      edit: await force(prompt, targetNew),
      checks: [await check(prompt, 0), ...(await Promise.all(others))],
    })
  }
  return examples
}
