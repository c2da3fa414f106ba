/** What a set of facts holds, in numbers: which kinds of tests, and edits that contradict each other. */
import type { Fact, FactTests } from './fact.ts'

/** How many facts have prompts of a kind, and how many prompts those are. */
export interface TestCount {
  readonly facts: number
  readonly prompts: number
}

/** Counts the tests of each kind. */
export function countTests(facts: readonly Fact[]): Record<keyof FactTests, TestCount> {
  const countBy = (listOf: (tests: FactTests) => readonly unknown[]): TestCount => {
    const sizes = facts.map(({ tests }) => listOf(tests).length)
    return { facts: sizes.filter((size) => size > 0).length, prompts: sizes.reduce((sum, size) => sum + size, 0) }
  }
  return {
    paraphrases: countBy((tests) => tests.paraphrases),
    neighbours: countBy((tests) => tests.neighbours),
    otherRelations: countBy((tests) => tests.otherRelations),
    aliases: countBy((tests) => tests.aliases),
    reversed: countBy((tests) => tests.reversed),
    oneHop: countBy((tests) => tests.oneHop),
  }
}

/** Groups of facts that give one prompt different new targets. Edited together, at most one of each group can be right. */
export function findConflicts(facts: readonly Fact[]): Fact[][] {
  const groups = new Map<string, Fact[]>()
  for (const fact of facts) {
    const key = JSON.stringify([fact.subject, fact.prompt])
    groups.set(key, [...(groups.get(key) ?? []), fact])
  }
  return [...groups.values()].filter((group) => group.length > 1)
}
