/**
 * ParaRel: relations with many wordings and their facts, of which none is an edit. A case is made of each fact whose subject
 * has one object: the new target is the object of the next fact that has another one. Wordings that do not end in
 * the object cannot be continued and are left out.
 */
import { z } from 'zod'
import type { FactDraft, FactReader } from './reader.ts'
import { idField, parseRecord, textField } from './schema.ts'

const RELATION = z.object(
  {
    patterns: z.array(z.object({ pattern: textField }), { error: 'a list of objects with pattern' }),
    facts: z.array(z.object({ sub_label: textField, obj_label: textField, uuid: idField.optional() }), {
      error: 'a list of objects with sub_label and obj_label',
    }),
  },
  { error: 'an object with patterns and facts' },
)

const RECORD = z.record(textField, RELATION)

/** Of other subjects, so many are asked. */
const NEIGHBOURS = 5

/** A relation with the wordings that can be continued and the answers of each subject. */
interface Relation {
  readonly name: string
  readonly prompts: readonly [string, ...string[]]
  readonly answers: ReadonlyMap<string, readonly string[]>
}

/** Reads ParaRel. */
export const pararel: FactReader = {
  name: 'pararel',
  title: 'ParaRel',
  fields: 'by relation {patterns [{pattern}], facts [{sub_label, obj_label}]}',
  paper: {
    authors: 'Elazar et al.',
    year: 2021,
    title: 'Measuring and Improving Consistency in Pretrained Language Models',
    url: 'https://arxiv.org/abs/2102.01017',
    code: 'https://github.com/yanaiela/pararel',
  },
  licence: 'MIT; its facts are those of LAMA (CC BY-NC 4.0)',
  strict: false,
  remarks: [
    'The file is one object with patterns and facts by relation; the published set has them in a file each.',
    'It holds no edits: the new target of a fact is the object of the next one that has another.',
    'Subjects with several objects in a relation are neighbours, not cases.',
  ],
  recognises: (record) =>
    Object.keys(record).length > 0 &&
    Object.values(record).every(
      (value) => typeof value === 'object' && value !== null && 'patterns' in value && 'facts' in value,
    ),
  read(record, where) {
    const relations = Object.entries(parseRecord(RECORD, record, where)).flatMap(([name, { patterns, facts }]) => {
      const [first, ...others] = patterns.flatMap(({ pattern }) => toPrompt(pattern))
      return first === undefined ? [] : [{ name, prompts: [first, ...others] as const, answers: gather(facts) }]
    })
    return relations.flatMap((relation) => makeCases(relation, relations))
  },
}

/** `[X] is located in [Y] .` → `{} is located in`; nothing for a wording that goes on after the object. */
function toPrompt(pattern: string): string[] {
  const [, before] = /^(.*\[X\].*) \[Y\] ?\.?$/.exec(pattern) ?? []
  return before === undefined || before.includes('[Y]') ? [] : [before.replace('[X]', '{}')]
}

function gather(facts: z.output<typeof RELATION>['facts']): Map<string, readonly string[]> {
  const answers = new Map<string, readonly string[]>()
  for (const { sub_label: subject, obj_label: object } of facts) {
    answers.set(subject, [...(answers.get(subject) ?? []), object])
  }
  return answers
}

function makeCases(relation: Relation, relations: readonly Relation[]): FactDraft[] {
  const { name, prompts, answers } = relation
  const subjects = [...answers.keys()]
  const ask = (by: Relation, subject: string) => ({
    prompt: by.prompts[0].replace('{}', () => subject),
    targets: by.answers.get(subject) ?? [],
  })
  return subjects.flatMap((subject, at): FactDraft[] => {
    const [object, ...more] = answers.get(subject) ?? []
    const after = [...subjects.slice(at + 1), ...subjects.slice(0, at)]
    const target = after.flatMap((other) => answers.get(other) ?? []).find((other) => other !== object)
    if (object === undefined || more.length > 0 || target === undefined) return []
    const [prompt, ...paraphrases] = prompts
    const others = relations.filter((other) => other.name !== name && other.answers.has(subject))
    return [
      {
        id: `${name}-${at + 1}`,
        subject,
        prompt,
        targetNew: target,
        targetsOld: [object],
        tests: {
          paraphrases,
          neighbours: after.slice(0, NEIGHBOURS).map((other) => ask(relation, other)),
          otherRelations: others.map((other) => ask(other, subject)),
        },
      },
    ]
  })
}
