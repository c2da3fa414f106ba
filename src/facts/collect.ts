/** Gathers the facts of a file's records, one for each edit, and counts what was not fatal. */
import type { Fact } from './fact.ts'
import { mergeTests, NOISE, type NoiseRule, type NoteFlaw, normaliseDraft, refuseFlaw } from './normalise.ts'
import { describe, type FactDraft, type FactReader, type RawRecord, refuse, type Where } from './reader.ts'

/** A flaw that was not fatal, with how often it was found. */
export interface FactNote {
  readonly rule: NoiseRule
  readonly count: number
  /** Numbers of the first few records concerned. */
  readonly records: readonly number[]
  /** The note as a sentence. */
  readonly text: string
}

/** What a file's records came to. */
export interface Collection {
  readonly facts: readonly Fact[]
  readonly notes: readonly FactNote[]
}

/** Takes up the facts of a file, record by record. */
export interface Collector {
  /** @throws E_FACT for a record that cannot be used. */
  add(record: RawRecord, where: Where): void
  /** Takes up a fact that is no record. @throws E_FACT as for a record. */
  addDraft(draft: FactDraft, where: Where): void
  finish(): Collection
}

/** Makes a collector for one file of a format. */
export function createCollector(format: FactReader): Collector {
  const flaws = new Map<NoiseRule, number[]>()
  const byEdit = new Map<string, Fact>()
  const prompts = new Set<string>()
  const ids = new Set<string>()
  const note: NoteFlaw = (rule, where, found) => {
    const refusal = format.strict ? refuseFlaw(rule, where, found) : undefined
    if (refusal !== undefined) throw refusal
    const records = flaws.get(rule)
    if (records === undefined) flaws.set(rule, [where.record])
    else records.push(where.record)
  }
  const addDraft = (draft: FactDraft, where: Where): void => {
    const fact = normaliseDraft(draft, where, note)
    if (fact === undefined) return
    const { id, subject, prompt, targetNew, tests } = fact
    const edit = JSON.stringify([subject, prompt, targetNew])
    const earlier = byEdit.get(edit)
    if (earlier !== undefined) {
      note('sameEdit', where, id)
      byEdit.set(edit, { ...earlier, tests: mergeTests(earlier.tests, tests) })
      return
    }
    if (ids.has(id)) throw refuse(where, 'an id of its own', `${describe(id)} again`, 'Give each fact its own id.')
    const relation = JSON.stringify([subject, prompt])
    if (prompts.has(relation)) note('conflict', where, id)
    ids.add(id)
    prompts.add(relation)
    byEdit.set(edit, fact)
  }
  const add = (record: RawRecord, where: Where): void => {
    for (const draft of [format.read(record, where)].flat()) addDraft(draft, where)
  }
  return { add, addDraft, finish: () => ({ facts: [...byEdit.values()], notes: [...flaws].map(toNote) }) }
}

/** How many records a note names. */
const NAMED_RECORDS = 5

function toNote([rule, all]: readonly [NoiseRule, readonly number[]]): FactNote {
  const distinct = [...new Set(all)]
  const records = distinct.slice(0, NAMED_RECORDS)
  const rest = distinct.length > records.length ? ', …' : ''
  const named = `${distinct.length === 1 ? 'record' : 'records'} ${records.join(', ')}${rest}`
  return { rule, count: all.length, records, text: `${NOISE[rule].text}: ${all.length} (${named})` }
}
