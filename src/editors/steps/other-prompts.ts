/** Prompts that no edit means, to hold an edit's against: those of other facts and of their neighbours. */
import type { Context } from '../../context.ts'
import type { Fact } from '../../facts/fact.ts'

/** The work of {@link drawOtherPrompts}. */
export interface OtherPromptsJob {
  /** Not among those to be edited or tested. */
  readonly facts: readonly Fact[]
  readonly most: number
  /** What is taken where there are no such facts. */
  readonly write: () => Promise<readonly string[]>
}

/** Draws so many prompts at most, each once. */
export async function drawOtherPrompts({ facts, most, write }: OtherPromptsJob, ctx: Context): Promise<string[]> {
  const known = facts.flatMap(({ prompt, tests }) => [prompt, ...tests.neighbours.map((one) => one.prompt)])
  const prompts = known.length > 0 ? [...new Set(known)] : await write()
  return ctx.random.stream('other prompts').shuffle(prompts).slice(0, most)
}
