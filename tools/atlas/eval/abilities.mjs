/** What the model knows and follows: facts in seen and locked wordings, new facts in a context, what a context must not touch, one hop. */
import { saysTarget } from '../../../dist/probes/answer.js'
import { percent, table } from './table.mjs'

const ROWS = 64
const SLACK_TOKENS = 4

export async function measureAbilities({ model, world, options, ctx }) {
  const stream = ctx.random.stream('abilities')
  const locked = options.locked ? await world.openLocked() : null
  const seen = ({ relation }) => world.draw(stream, world.relations[relation].questions)
  const told = (fact) => {
    const answers = world.another(fact, stream)
    const statement = world.statement(fact, world.draw(stream, world.relations[fact.relation].statements), answers[0])
    return { context: `New fact: ${statement}\n`, answers }
  }
  const ask = (fact, template = seen(fact)) => ({ fact, prompt: world.question(fact, template), targets: fact.answers })
  const after = (fact, asked) => ({ ...asked, fact, prompt: `${told(fact).context}${asked.prompt}` })
  const follow = (fact, template) => {
    const { context, answers } = told(fact)
    return { fact, prompt: `${context}${world.question(fact, template)}`, targets: answers }
  }
  const other = (fact, facts) => {
    const others = (facts ?? []).filter((each) => each !== fact && !each.answers.includes(fact.answers[0]))
    return others.length === 0 ? undefined : world.draw(stream, others)
  }
  const beside = (facts, choose) =>
    facts.flatMap((fact) => {
      const second = other(fact, choose(fact))
      return second === undefined ? [] : [after(fact, ask(second))]
    })
  const isCounted = ({ relation }) => world.counted.includes(relation)
  const { facts } = world
  const hops = facts.filter((fact) => ['country', 'state'].includes(fact.relation) && world.isNeverCombined(fact))
  const sets = {
    statement: facts.map((fact) => ({
      fact,
      prompt: world.statementPrompt(fact, world.draw(stream, world.relations[fact.relation].statements)),
      targets: fact.answers,
    })),
    question: facts.map((fact) => ask(fact)),
    ...(locked && { locked: facts.flatMap((fact) => locked[fact.relation].map((template) => ask(fact, template))) }),
    context: facts.map((fact) => follow(fact, seen(fact))),
    ...(locked && { contextLocked: facts.map((fact) => follow(fact, world.draw(stream, locked[fact.relation]))) }),
    randomAfter: beside(facts, () => facts),
    relationAfter: beside(facts, ({ relation }) => world.byRelation.get(relation)),
    subjectAfter: beside(facts, ({ subject }) => world.bySubject.get(subject).filter(isCounted)),
    hopStatement: hops.flatMap((fact) =>
      hopsOf(fact, world, (second) => world.relations[second.relation].statements[0], false),
    ),
    hopQuestion: hops.flatMap((fact) =>
      hopsOf(
        fact,
        world,
        (second) =>
          world.draw(
            stream,
            world.relations[second.relation].questions.filter((each) => !each.includes('{n}')),
          ),
        true,
      ),
    ),
  }
  const measured = {}
  for (const [name, items] of Object.entries(sets)) {
    const right = await judge(model, items, name)
    measured[name] = items.map(({ fact }, i) => ({
      relation: fact.relation,
      never: world.isNeverContradicted(fact),
      right: right[i],
    }))
  }
  const majority = Object.fromEntries(world.counted.map((name) => [name, majorityShare(world.byRelation.get(name))]))
  return { counted: world.counted, facts: countBy(facts), majority, measured, training: summary(world.training) }
}

function hopsOf(fact, world, choose, asQuestion) {
  const seconds = (world.bySubject.get(fact.answers[0]) ?? []).filter(
    ({ relation, answers }) => world.counted.includes(relation) && !answers.includes(fact.subject),
  )
  return seconds.map((second) => ({
    fact,
    prompt: world.hop(fact, second, choose(second), { asQuestion }),
    targets: second.answers,
  }))
}

/** Which of the items are answered with one of their targets. */
async function judge(model, items, name) {
  const order = items.map((_, i) => i).sort((a, b) => items[a].prompt.length - items[b].prompt.length)
  const right = new Array(items.length).fill(false)
  const most = Math.max(
    ...(await Promise.all(items.map(({ targets }) => model.tokenizer.encodeContinuation(` ${targets[0]}`)))).map(
      ({ length }) => length,
    ),
  )
  for (let at = 0; at < order.length; at += ROWS) {
    const rows = order.slice(at, at + ROWS)
    const written = await model.generate(
      rows.map((i) => items[i].prompt),
      { maxNewTokens: most + SLACK_TOKENS, stop: ['\n', '. '] },
    )
    rows.forEach((i, row) => {
      right[i] = saysTarget(written[row].text, items[i].prompt, items[i].targets)
    })
    process.stderr.write(`\r${name} ${Math.min(at + ROWS, order.length)}/${order.length}   `)
  }
  process.stderr.write('\n')
  return right
}

function majorityShare(facts) {
  const counts = new Map()
  for (const { answers } of facts) counts.set(answers[0], (counts.get(answers[0]) ?? 0) + 1)
  return Math.max(...counts.values()) / facts.length
}

function countBy(facts) {
  const counts = {}
  for (const { relation } of facts) counts[relation] = (counts[relation] ?? 0) + 1
  return counts
}

function summary({ neverContradicted, neverCombined, ...training }) {
  return training
}

/** The share that is right of what `keep` keeps; undefined where nothing was asked. */
function share(items, keep = () => true) {
  const kept = items?.filter(keep) ?? []
  return kept.length === 0 ? undefined : kept.filter(({ right }) => right).length / kept.length
}

export function tellAbilities({ counted, facts, majority, measured }) {
  const columns = ['statement', 'question', 'locked', 'context', 'contextLocked']
  const row = (name, keep, count, most) => [
    name,
    count,
    most === undefined ? '' : percent(most),
    ...columns.map((column) => percent(share(measured[column], keep))),
  ]
  const total = Object.values(facts).reduce((sum, count) => sum + count, 0)
  const relations = table(
    [
      'relation',
      'facts',
      'majority answer',
      'statements',
      'questions',
      'questions, locked wordings',
      'new fact followed',
      'the same, locked wordings',
    ],
    [
      ...counted.map((name) => row(`\`${name}\``, ({ relation }) => relation === name, facts[name], majority[name])),
      row('**all**', undefined, total),
    ],
  )
  const never = ({ never }) => never
  const more = table(
    ['', 'right', 'asked'],
    [
      ['new fact followed, facts that no training text contradicted', 'context', never],
      ['the same, locked wordings', 'contextLocked', never],
      ['question about something else after a new fact: any', 'randomAfter'],
      ['… the same relation', 'relationAfter'],
      ['… the same subject', 'subjectAfter'],
      ['one hop, as the facts are tested (cities never in such a text)', 'hopStatement'],
      ['one hop, questions', 'hopQuestion'],
    ].flatMap(([name, set, keep]) => {
      const asked = measured[set]?.filter(keep ?? (() => true)) ?? []
      return asked.length === 0 ? [] : [[name, percent(share(asked)), asked.length]]
    }),
  )
  return `${relations}\n\n${more}`
}
