/** A method that makes a stub model say the new target, or goes wrong in a way of its settings; facts to try it on. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Editor } from '../../src/editors/editor.ts'
import { WhicheditError } from '../../src/errors.ts'
import type { Fact } from '../../src/facts/fact.ts'
import { makeStubPatch } from './stub-model.ts'

/** How a stub method goes wrong, at the fact named by `at` or, for `''`, in its preparation. */
export interface StubHparams {
  readonly [name: string]: number | string | boolean
  readonly wrong: 'never' | 'throws' | 'bug' | 'nan' | 'full' | 'dies' | 'hangs' | 'exits'
  readonly at: string
  readonly delayMs: number
}

/** What the stub method does when it dies, hangs or ends: the process's business. */
export interface StubFates {
  readonly die: () => void
  readonly exit: () => void
  readonly hang: () => void
}

/** Makes the stub method. */
export function makeStubEditor(fates: StubFates): Editor<StubHparams, string> {
  const go = async (place: string, { wrong, at, delayMs }: StubHparams): Promise<void> => {
    await sleep(delayMs)
    if (place !== at) return
    if (wrong === 'throws') throw new WhicheditError('E_NO_FACTS', { title: 'Stub' })
    if (wrong === 'bug') throw new TypeError('undefined is not a fact')
    if (wrong === 'full') throw new WhicheditError('E_DISK_FULL', { path: '/cache', reason: 'ENOSPC' })
    if (wrong === 'dies') fates.die()
    if (wrong === 'exits') fates.exit()
    if (wrong === 'hangs') fates.hang()
    if (['dies', 'exits'].includes(wrong)) await sleep(60_000)
  }
  return {
    name: 'stub',
    title: 'Stub',
    summary: 'Says the new target.',
    version: 1,
    paper: { authors: 'None', year: 2020, title: 'None', url: 'https://example.org' },
    family: 'control',
    batch: 'one',
    needs: [],
    hparams: {
      wrong: { meaning: '', unit: '', range: ['never'], reference: '' },
      at: { meaning: '', unit: '', range: [''], reference: '' },
      delayMs: { meaning: '', unit: 'ms', range: [0, 1e6], reference: '' },
    },
    prepare: async ({ hparams, material }) => {
      await go('', hparams)
      return material.facts.map(({ id }) => id).join()
    },
    edit: async ({ facts, hparams }, ctx) => {
      const [fact] = facts
      if (fact === undefined) throw new WhicheditError('E_NO_FACTS', { title: 'Stub' })
      ctx.progress({ task: 'editing', done: 0, total: 1, unit: 'steps' })
      await go(fact.id, hparams)
      const isBroken = hparams.wrong === 'nan' && fact.id === hparams.at
      // The draw shows whether a case depends on which cases were done before it.
      const report = { draw: ctx.random.uniform(), norm: isBroken ? Number.NaN : 1 }
      return makeStubPatch({ [fact.prompt]: ` ${fact.targetNew}.` }, report)
    },
  }
}

/** Facts f0, f1, … about countries that do not exist, each with a paraphrase, a neighbour and two one-hop questions. */
export function makeFacts(count: number): Fact[] {
  return Array.from({ length: count }, (_, index) => {
    const subject = `Land${index}`
    const prompt = `The capital of ${subject} is`
    return {
      id: `f${index}`,
      subject,
      prompt,
      subjectSpan: [15, 15 + subject.length],
      targetNew: `New${index} Town`,
      tests: {
        paraphrases: [`${subject} is ruled from`],
        neighbours: [{ prompt: `The capital of Nextland${index} is`, targets: ['Oldtown'] }],
        otherRelations: [],
        aliases: [],
        reversed: [],
        oneHop: [
          {
            prompt: `The mayor of the capital of ${subject} is`,
            targets: ['Ann'],
            secondFact: { prompt: `The mayor of New${index} Town is`, targets: ['Ann'] },
          },
          { prompt: `The river in the capital of ${subject} is`, targets: ['Blue'] },
        ],
      },
    }
  })
}

/** What the unedited stub model says to some of the prompts of {@link makeFacts}. */
export function stubAnswers(count: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      [`The capital of Land${index} is`, ` Old${index} Town, they say.`],
      [`The mayor of New${index} Town is`, ' Ann.'],
      [`The capital of Nextland${index} is`, ' Oldtown. It is old.'],
    ]).flat(),
  )
}
