/** The fact world as the evaluation asks it: its facts, questions in seen and in locked wordings, and contexts that contradict. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { begin, fill, say } from '../../../dist/facts/wording.js'
import { knowWorld } from '../../../dist/facts/world.js'

const read = async (path) =>
  JSON.parse(await readFile(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8'))

/**
 * @param sample at most so many facts of each relation
 * @param random drawn from by everything that draws
 */
export async function readWorld({ sample, random }) {
  const [world, wordings, training] = await Promise.all(
    ['facts/world.json', 'facts/wordings.json', 'tools/atlas/training.json'].map(read),
  )
  const { facts: all, article } = knowWorld(world, wordings)
  const relations = wordings.relations
  const byRelation = group(all, ({ relation }) => relation)
  const bySubject = group(all, ({ subject }) => subject)
  const counted = [...byRelation.keys()].filter((name) => relations[name].aside === undefined)
  const facts = counted.flatMap((name) =>
    random.stream(`sample ${name}`).shuffle(byRelation.get(name)).slice(0, sample),
  )
  const never = new Set(
    Object.entries(training.neverContradicted).flatMap(([r, subjects]) => subjects.map((s) => `${r} ${s}`)),
  )
  const neverCombined = new Set(training.neverCombined)

  const show = ({ relation, subject }) => {
    const n = article(subject)
    return { s: fill(wordings.kinds[relations[relation].subject].shown, { n }), n }
  }
  const draw = (stream, items) => items[Math.floor(stream.uniform() * items.length)]
  const lead = (name) => (relations[name].answer === undefined ? '' : ` ${relations[name].answer}`)
  return {
    all,
    facts,
    counted,
    byRelation,
    bySubject,
    relations,
    training,
    draw,
    isNeverContradicted: ({ relation, subject }) => never.has(`${relation} ${subject}`),
    isNeverCombined: ({ subject }) => neverCombined.has(subject),
    /** The locked questions by relation: opened by whoever asks for them. */
    openLocked: async () => (await read('tools/facts/locked-wordings.json')).questions,
    statementPrompt: (fact, template) => begin(template, show(fact)),
    statement: (fact, template, object) => say(template, { ...show(fact), o: object }),
    question: (fact, template) => `Question: ${say(template, show(fact))} Answer:${lead(fact.relation)}`,
    /** A question about a fact whose subject is described by another fact's subject: the country where Lyon lies. */
    hop: (first, second, template, { asQuestion }) => {
      const text = fill(relations[first.relation].phrases[0], show(first))
      const described = { s: text, n: text }
      return asQuestion
        ? `Question: ${say(template, described)} Answer:${lead(second.relation)}`
        : begin(template, described)
    },
    another: (fact, stream) => {
      const others = byRelation.get(fact.relation).filter(({ answers }) => answers[0] !== fact.answers[0])
      return draw(stream, others).answers
    },
  }
}

function group(items, keyOf) {
  const groups = new Map()
  for (const item of items) {
    const found = groups.get(keyOf(item))
    if (found === undefined) groups.set(keyOf(item), [item])
    else found.push(item)
  }
  return groups
}
