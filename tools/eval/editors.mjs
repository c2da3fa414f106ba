/**
 * Measures editing methods on facts that the model knows, one edit at a time, and prints a table; the numbers behind
 * docs/methods.md. Slower and closer to papers than `whichedit probe`: it reads log-probabilities of both targets too.
 *
 *   npm run eval:editors -- --model smollm2-135m --facts ../shared/data/counterfact.json --methods rome,ft-m --cases 20
 *     --text FILE             text for covariances (default: text that the model writes)
 *     --set rome.layer=5      a setting, any number of times
 *     --batch N               so many facts in one edit, of methods that take several (default: 1)
 *     --any                   also facts that the model does not know
 *     --out FILE              all numbers as JSON
 *     --from FILE             takes the numbers from such a file, measures nothing
 *     --write-docs            puts the table into docs/methods.md, between its markers
 *
 *   ES, PS        p(new) > p(old) for the prompt and its paraphrases, mean over the targets' tokens
 *   TF            teacher-forced token accuracy of the new target: prompt / paraphrases
 *   agree         next token after neighbours' prompts is what the unedited model says
 *   free          the text generated holds the new target: prompt / paraphrases
 */
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { modelPlaces } from '../../dist/commands/support/places.js'
import { keepKnownFacts } from '../../dist/evidence/known-facts.js'
import { createRandom, EDITORS, loadHparams, loadModel, readFacts } from '../../dist/index.js'
import { saysTarget } from '../../dist/probes/answer.js'
import { describeMachine, putBetween, today } from '../published.mjs'

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'smollm2-135m' },
    facts: { type: 'string', default: 'countries' },
    methods: { type: 'string', default: Object.keys(EDITORS).join() },
    cases: { type: 'string', default: '20' },
    skip: { type: 'string', default: '0' },
    batch: { type: 'string', default: '1' },
    any: { type: 'boolean', default: false },
    text: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: '1' },
    cache: { type: 'string', default: join(tmpdir(), 'whichedit-eval') },
    out: { type: 'string' },
    from: { type: 'string' },
    'write-docs': { type: 'boolean', default: false },
  },
})
const NEW_TOKENS = 16
const DOCS = fileURLToPath(new URL('../../docs/methods.md', import.meta.url))

const ctx = {
  random: createRandom(options.seed),
  signal: new AbortController().signal,
  progress: () => {},
  cacheDir: options.cache,
  now: () => performance.now(),
}
const model = options.from === undefined ? await loadModel(options.model, modelPlaces(), ctx) : null
try {
  const report = options.from === undefined ? await measure() : JSON.parse(await readFile(options.from, 'utf8'))
  if (options.out) await writeFile(options.out, `${JSON.stringify(report, null, 1)}\n`)
  if (options['write-docs']) await writeDocs(report)
} finally {
  await model?.close()
}

async function measure() {
  const { cases, others, about } = await knownFacts()
  const material = { text: options.text ? [await readFile(options.text, 'utf8')] : null, facts: others }
  const results = []
  for (const name of options.methods.split(',')) {
    const result = await measureMethod(EDITORS[name], cases, material)
    results.push(result)
    print(result)
  }
  return {
    date: today(),
    machine: describeMachine(),
    node: process.versions.node,
    model: model.name,
    modelId: model.id,
    facts: basename(options.facts),
    about,
    seed: options.seed,
    text: options.text === undefined ? null : basename(options.text),
    results,
  }
}

/** Facts whose old answer the model gives, token after token or in its own words, and the rest as material. */
async function knownFacts() {
  const { facts } = await readFacts(options.facts)
  const asked = facts.filter(({ targetOld }) => targetOld !== undefined)
  const forced = new Set(await keepKnownFacts(model, asked))
  const written = await model.generate(
    asked.map(({ prompt }) => prompt),
    { maxNewTokens: NEW_TOKENS, stop: ['\n'] },
  )
  const known = asked.filter(
    (fact, i) => forced.has(fact) || saysTarget(written[i].text, fact.prompt, [fact.targetOld]),
  )
  const first = Number(options.skip)
  const cases = (options.any ? asked : known).slice(first, first + Number(options.cases))
  const share = `${known.length} of ${asked.length} facts are known to the model`
  const howMany = options.batch === '1' ? 'one at a time' : `${options.batch} at a time by methods that take several`
  const about = `${share}; ${cases.length}${options.any ? ' of all' : ''} are edited, ${howMany}`
  console.error(about)
  const chosen = new Set(cases)
  return { cases, others: facts.filter((fact) => !chosen.has(fact)), about }
}

async function measureMethod(editor, cases, material) {
  const prefix = `${editor.name}.`
  const own = options.set.filter((text) => text.startsWith(prefix)).map((text) => text.slice(prefix.length).split('='))
  const overrides = Object.fromEntries(own.map(([key, value]) => [key, parseSetting(value)]))
  const hparams = await loadHparams(editor, model.config, overrides)
  const random = ctx.random.stream(editor.name)
  const [prepareS, prepared] = await timed(() => editor.prepare?.({ model, hparams, material }, { ...ctx, random }))
  const rows = []
  const size = editor.batch === 'many' ? Number(options.batch) : 1
  for (let start = 0; start < cases.length; start += size) {
    const facts = cases.slice(start, start + size)
    const job = { model, facts, hparams, prepared, history: [] }
    const seeded = { ...ctx, random: random.stream(facts[0].id) }
    const [batchS, patch] = await timed(() => editor.edit(job, seeded))
    const edited = model.withPatch(patch)
    for (const fact of facts) {
      const editS = batchS / facts.length
      rows.push({ id: fact.id, editS, report: patch.report, ...(await measureFact(fact, edited)) })
      console.error(`${editor.name} ${rows.length}/${cases.length} ${fact.subject}: ${JSON.stringify(rows.at(-1))}`)
    }
  }
  return { method: editor.name, hparams, cases: rows.length, prepareS, ...averages(rows), rows }
}

async function measureFact(fact, edited) {
  const { prompt, targetNew, targetOld, tests } = fact
  const kept = tests.neighbours.map((neighbour) => ({ prompt: neighbour.prompt, target: neighbour.targets[0] }))
  const [[own], paraphrases, before, after] = [
    await forced(edited, [prompt], targetNew, targetOld),
    await forced(edited, tests.paraphrases, targetNew, targetOld),
    await model.score(kept),
    await edited.score(kept),
  ]
  const prompts = [prompt, ...tests.paraphrases]
  const written = await edited.generate(prompts, { maxNewTokens: NEW_TOKENS, stop: ['\n'] })
  const says = written.map(({ text }, i) => (saysTarget(text, prompts[i], [targetNew]) ? 1 : 0))
  return {
    es: own.prefersNew,
    ps: mean(paraphrases.map((reading) => reading.prefersNew)),
    rewrite: own.accuracy,
    paraphrase: mean(paraphrases.map((reading) => reading.accuracy)),
    agree: mean(after.map(({ argmax }, i) => (argmax[0] === before[i].argmax[0] ? 1 : 0))),
    free: says[0],
    freeParaphrase: mean(says.slice(1)),
  }
}

async function forced(edited, prompts, targetNew, targetOld) {
  const ofNew = await edited.score(prompts.map((prompt) => ({ prompt, target: targetNew })))
  const ofOld = await edited.score(prompts.map((prompt) => ({ prompt, target: targetOld })))
  return ofNew.map(({ ids, argmax, logProbs }, i) => ({
    accuracy: mean(ids.map((id, t) => (id === argmax[t] ? 1 : 0))),
    prefersNew: mean(logProbs) > mean(ofOld[i].logProbs) ? 1 : 0,
  }))
}

function averages(rows) {
  const names = ['es', 'ps', 'rewrite', 'paraphrase', 'agree', 'free', 'freeParaphrase', 'editS']
  return Object.fromEntries(names.map((name) => [name, mean(rows.map((row) => row[name]).filter(Number.isFinite))]))
}

function print(result) {
  const { es, ps, rewrite, paraphrase, agree, free, freeParaphrase, prepareS, editS } = result
  const percent = (value) => (100 * value).toFixed(0).padStart(3)
  const pairs = `ES ${percent(es)} PS ${percent(ps)} · TF ${percent(rewrite)} /${percent(paraphrase)} · agree ${percent(agree)} · free ${percent(free)} /${percent(freeParaphrase)}`
  console.log(
    `${result.method.padEnd(6)} n ${result.cases} · ${pairs} · prepare ${prepareS.toFixed(1)} s, edit ${editS.toFixed(2)} s`,
  )
}

async function writeDocs({ date, machine, node, model: name, facts, about, seed, text, results }) {
  const percent = (value) => (100 * value).toFixed(0)
  const rows = results.map(({ method, hparams, prepareS, editS, ...found }) => {
    const rates = ['rewrite', 'paraphrase', 'es', 'ps', 'free', 'freeParaphrase', 'agree'].map((rate) =>
      percent(found[rate]),
    )
    return [`\`${method}\``, layersOf(hparams), ...rates, prepareS.toFixed(1), editS.toFixed(2)]
  })
  const table = [
    `${name}, float32, ${facts}: ${about}. Seed ${seed}, covariances from ${text ?? 'text that the model writes'}. ${machine}, Node ${node}, ${date}.`,
    '',
    '| method | layer | rewrite, forced | paraphrase, forced | ES | PS | rewrite, free | paraphrase, free | neighbours kept | s to prepare | s an edit |',
    '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
    '',
  ].join('\n')
  await putBetween(DOCS, 'MEASURED', table)
}

function layersOf({ layer, firstLayer, lastLayer }) {
  return layer ?? (firstLayer === undefined ? '' : `${firstLayer}–${lastLayer}`)
}

async function timed(work) {
  const startedAt = performance.now()
  const result = await work()
  return [(performance.now() - startedAt) / 1000, result]
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function parseSetting(text) {
  if (text === 'true' || text === 'false') return text === 'true'
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}
