/** What each method does to the model: single edits, and fifteen in a row, judged by the product's probes in the free reading. */
import { loadHparams } from '../../../dist/editors/hparams.js'
import { EDITORS } from '../../../dist/editors/index.js'
import { keepKnownFacts } from '../../../dist/evidence/known-facts.js'
import { ITEMS_PER_PROBE, MAX_NEW_TOKENS, planItems } from '../../../dist/evidence/plan.js'
import { askAll, readUnedited } from '../../../dist/evidence/readings.js'
import { chooseCases, chooseMaterial } from '../../../dist/facts/cases.js'
import { readFacts, readLearningFacts } from '../../../dist/facts/index.js'
import { PROBES } from '../../../dist/probes/index.js'
import { percent, table } from './table.mjs'

const IN_A_ROW = 15
const ASKING = { maxNewTokens: MAX_NEW_TOKENS, signal: new AbortController().signal }
const probes = Object.values(PROBES)

export async function measureEdits({ model, options, ctx }) {
  const { facts: all } = await readFacts(options.facts)
  const learning = await readLearningFacts(options.facts)
  const drawn = chooseCases(all, 3 * Number(options.cases), ctx.random)
  const cases = (await keepKnownFacts(model, drawn)).slice(0, Number(options.cases))
  const material = { text: null, facts: learning === null ? chooseMaterial(all, cases) : chooseMaterial(learning, all) }
  const asked = []
  for (const fact of cases) {
    const items = planItems(fact, probes, ITEMS_PER_PROBE, ctx.random)
    asked.push({ fact, items, unedited: await readUnedited(model, { fact, items }, ASKING) })
  }
  const methods = options.methods?.split(',') ?? Object.keys(EDITORS)
  const results = {}
  for (const name of methods) {
    const editor = EDITORS[name]
    const set = options.set
      .filter((text) => text.startsWith(`${name}.`))
      .map((text) => text.slice(name.length + 1).split('='))
    const hparams = await loadHparams(
      editor,
      model.config,
      Object.fromEntries(set.map(([key, value]) => [key, Number(value)])),
    )
    const random = ctx.random.stream(name)
    const prepared = await editor.prepare?.({ model, hparams, material }, { ...ctx, random })
    const edit = (base, fact, history) =>
      editor.edit(
        { model: base, facts: [fact], hparams, prepared, history },
        { ...ctx, random: random.stream(fact.id) },
      )
    const single = []
    const startedAt = performance.now()
    for (const each of asked) single.push(await judge(model.withPatch(await edit(model, each.fact, [])), each))
    const seconds = (performance.now() - startedAt) / 1000 / asked.length
    results[name] = {
      hparams,
      seconds,
      single: average(single),
      stream: await measureStream(model, asked.slice(0, IN_A_ROW), edit),
    }
    process.stderr.write(`${name} ${JSON.stringify(results[name])}\n`)
  }
  return { facts: options.facts, cases: cases.length, inARow: Math.min(IN_A_ROW, cases.length), results }
}

/** Edits one after another, each on the model that the earlier ones left; then everything is asked. */
async function measureStream(model, asked, edit) {
  let edited = model
  const history = []
  for (const { fact } of asked) {
    const patch = await edit(edited, fact, history)
    history.push(patch)
    edited = edited.withPatch(patch)
  }
  const judged = []
  for (const each of asked) judged.push(await judge(edited, each))
  return average(judged)
}

/** What each probe makes of an edited model's answers about a fact. */
async function judge(edited, { items, unedited }) {
  const found = await askAll(
    edited,
    items.map(({ item }) => item),
    ASKING,
  )
  const values = {}
  items.forEach(({ probe, item }, i) => {
    const { value } = probe.judge({ ...unedited.items[i], item, edited: found[i] })
    if (value !== null) values[probe.name] = [...(values[probe.name] ?? []), value]
  })
  return values
}

/** Means over cases of each probe's mean. */
function average(judged) {
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length
  const of = ({ name }) => judged.flatMap((values) => (values[name] === undefined ? [] : [mean(values[name])]))
  return Object.fromEntries(probes.map((probe) => [probe.name, mean(of(probe))]))
}

export function tellEdits({ facts, cases, inARow, results }) {
  const head = ['method', ...probes.map(({ name }) => name)]
  const rows = (key) =>
    Object.entries(results).map(([name, result]) => [
      `\`${name}\``,
      ...probes.map((probe) => percent(result[key][probe.name])),
    ])
  return [
    `${cases} facts of \`${facts}\`, edited one at a time:`,
    table(head, rows('single')),
    `${inARow} of them edited one after another, asked at the end:`,
    table(head, rows('stream')),
  ].join('\n\n')
}
