/**
 * Measures editing methods on facts and prints a table; the numbers behind docs/methods.md. Slower and closer to papers than
 * `whichedit probe`: it reads log-probabilities of both targets too.
 *
 *   npm run eval:editors -- --model smollm2-135m --facts ../shared/data/counterfact.json --methods rome,ft-m --cases 20
 *     --text FILE             text for covariances (default: text that the model writes)
 *     --set rome.layer=5      a setting, any number of times
 *     --batch N               so many facts in one edit, of methods that take several (default: 1)
 *     --in-a-row N            so many edits on one model, which is asked after the last (default: 1)
 *     --asked N               asks about so many of the facts, evenly spaced (default: all)
 *     --threads N             for one operation (default: one a core); two runs side by side disturb each other less with one each
 *     --any                   also facts that the model does not know
 *     --out FILE              all numbers as JSON, fact by fact, and the facts, for tools/eval/reference.py
 *     --from FILE             takes the numbers from such a file, measures nothing
 *     --save                  keeps the averages in docs/measured/, from where `npm run docs` puts them into docs/methods.md;
 *                             methods that stand there already, with the same settings, are passed over
 *
 *   ES, PS        p(new) > p(old) for the prompt and its paraphrases, mean over the targets' tokens
 *   TF            teacher-forced token accuracy of the new target: prompt / paraphrases
 *   agree         next token after neighbours' prompts, and after other questions about the subject, is what the unedited model says
 *   free          the text generated holds the new target: prompt / paraphrases
 */
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { modelPlaces } from '../../dist/commands/support/places.js'
import { keepKnownFacts } from '../../dist/evidence/known-facts.js'
import { createRandom, EDITORS, loadHparams, loadModel, readFacts, WhicheditError } from '../../dist/index.js'
import { saysTarget } from '../../dist/probes/answer.js'
import { describeMachine, today } from '../published.mjs'
import { averages, keep, mean, measuredFile, readKept } from './measured.mjs'

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'smollm2-135m' },
    facts: { type: 'string', default: 'countries' },
    methods: { type: 'string', default: Object.keys(EDITORS).join() },
    cases: { type: 'string', default: '20' },
    skip: { type: 'string', default: '0' },
    batch: { type: 'string', default: '1' },
    'in-a-row': { type: 'string', default: '1' },
    asked: { type: 'string' },
    any: { type: 'boolean', default: false },
    text: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '0' },
    cache: { type: 'string', default: join(tmpdir(), 'whichedit-eval') },
    out: { type: 'string' },
    from: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
})
const NEW_TOKENS = 16
/** What is averaged over facts. */
const RATES = ['es', 'ps', 'rewrite', 'paraphrase', 'agree', 'otherAgree', 'free', 'freeParaphrase']

const ctx = {
  random: createRandom(options.seed),
  signal: new AbortController().signal,
  progress: () => {},
  cacheDir: options.cache,
  now: () => performance.now(),
}
if (options.from !== undefined) await saveAll(JSON.parse(await readFile(options.from, 'utf8')))
else {
  const model = await loadModel(options.model, modelPlaces(), ctx, { threads: Number(options.threads) })
  try {
    const report = await measure(model)
    if (options.out) await writeFile(options.out, `${JSON.stringify(report, null, 1)}\n`)
  } finally {
    await model.close()
  }
}

async function measure(model) {
  const { cases, others, about } = await chooseFacts(model)
  const material = { text: options.text ? [await readFile(options.text, 'utf8')] : null, facts: others }
  const report = {
    model: model.name,
    facts: basename(options.facts),
    about: describe(about),
    seed: options.seed,
    batch: Number(options.batch),
    inARow: Number(options['in-a-row']),
    cases: cases.map(describeCase),
    others: others.slice(0, cases.length).map(({ prompt, targetOld }) => `${prompt} ${targetOld ?? ''}`.trimEnd()),
    results: [],
  }
  for (const name of options.methods.split(',')) {
    const hparams = await loadHparams(EDITORS[name], model.config, overridesOf(name))
    if (options.save && (await isSaved(report, name, hparams))) continue
    const result = await measureMethod(model, EDITORS[name], hparams, cases, material)
    report.results.push(result)
    print(result)
    if (options.save) await save(report, result)
  }
  return report
}

function overridesOf(name) {
  const own = options.set.filter((text) => text.startsWith(`${name}.`)).map((text) => text.slice(name.length + 1))
  return Object.fromEntries(own.map((text) => text.split('=')).map(([key, value]) => [key, parseSetting(value)]))
}

function describe(share) {
  const { batch, seed, text, asked } = options
  const row = options['in-a-row']
  const size = batch === '1' ? 'one at a time' : `${batch} in one edit by methods that take several`
  const order = row === '1' ? '' : `, ${row} edits in a row on one model`
  const part = asked === undefined ? '' : `, ${asked} of them asked`
  const source = text === undefined ? 'text that the model writes' : basename(text)
  return `${share}, ${size}${order}${part}. Seed ${seed}, covariances from ${source}`
}

/** What another implementation needs of a fact to be measured on it in the same way. */
function describeCase({ id, subject, prompt, targetNew, targetOld, tests: { paraphrases, neighbours } }) {
  return { id, subject, prompt, targetNew, targetOld, paraphrases, neighbours: neighbours.map(({ prompt }) => prompt) }
}

/** Facts whose old answer the model gives, token after token or in its own words, and the rest as material. */
async function chooseFacts(model) {
  const { facts } = await readFacts(options.facts)
  const candidates = facts.filter(({ targetOld }) => targetOld !== undefined)
  const known = options.any ? candidates : await knownTo(model, candidates)
  const first = Number(options.skip)
  const cases = known.slice(first, first + Number(options.cases))
  const about = options.any
    ? `${cases.length} of ${candidates.length} facts, known to the model or not`
    : `${cases.length} of ${known.length} facts that the model knows, of ${candidates.length}`
  console.error(about)
  const chosen = new Set(cases)
  return { cases, others: facts.filter((fact) => !chosen.has(fact)), about }
}

async function knownTo(model, facts) {
  const forced = new Set(await keepKnownFacts(model, facts))
  const prompts = facts.map(({ prompt }) => prompt)
  const written = await model.generate(prompts, { maxNewTokens: NEW_TOKENS, stop: ['\n'] })
  return facts.filter((fact, i) => forced.has(fact) || saysTarget(written[i].text, fact.prompt, [fact.targetOld]))
}

async function measureMethod(model, editor, hparams, cases, material) {
  const random = ctx.random.stream(editor.name)
  const [prepareS, prepared] = await timed(() => editor.prepare?.({ model, hparams, material }, { ...ctx, random }))
  const size = editor.batch === 'many' ? Number(options.batch) : 1
  // As many facts stay on one model whether a method takes several at once or not.
  const onOneModel = Number(options.batch) * Number(options['in-a-row'])
  const step = cases.length / Number(options.asked ?? cases.length)
  const asked = new Set(Array.from({ length: Math.round(cases.length / step) }, (_, i) => cases[Math.floor(i * step)]))
  const rows = []
  let editS = 0
  let failed = 0
  for (let start = 0; start < cases.length; start += onOneModel) {
    const facts = cases.slice(start, start + onOneModel)
    const history = []
    let edited = model
    for (let i = 0; i < facts.length; i += size) {
      const seeded = { ...ctx, random: random.stream(facts[i].id) }
      const job = { model: edited, facts: facts.slice(i, i + size), hparams, prepared, history: [...history] }
      const [seconds, patch] = await timed(() => editor.edit(job, seeded).catch(tellFailure))
      editS += seconds
      if (patch === null) {
        failed += job.facts.length
        continue
      }
      history.push(patch)
      edited = edited.withPatch(patch)
      if (facts.length > 1)
        console.error(`${editor.name} ${start + i + size}/${cases.length} edited, ${seconds.toFixed(1)} s`)
    }
    for (const fact of facts.filter((fact) => asked.has(fact))) {
      rows.push({ id: fact.id, report: history.at(-1)?.report, ...(await measureFact(model, fact, edited)) })
      console.error(`${editor.name} ${rows.length}/${asked.size} ${fact.subject}: ${JSON.stringify(rows.at(-1))}`)
    }
  }
  const { version, name } = editor
  const when = { date: today(), machine: describeMachine(), node: process.versions.node }
  return {
    method: name,
    version,
    hparams,
    ...when,
    cases: rows.length,
    failed,
    prepareS,
    editS: editS / cases.length,
    ...averages(rows, RATES),
    rows,
  }
}

/** An edit that fails leaves the model as it was, and is asked about like any other. */
function tellFailure(error) {
  if (!(error instanceof WhicheditError)) throw error
  console.error(error.message)
  return null
}

async function measureFact(model, fact, edited) {
  const { prompt, targetNew, targetOld, tests } = fact
  const [[own], paraphrases] = [
    await forced(edited, [prompt], targetNew, targetOld),
    await forced(edited, tests.paraphrases, targetNew, targetOld),
  ]
  const prompts = [prompt, ...tests.paraphrases]
  const written = await edited.generate(prompts, { maxNewTokens: NEW_TOKENS, stop: ['\n'] })
  const says = written.map(({ text }, i) => (saysTarget(text, prompts[i], [targetNew]) ? 1 : 0))
  return {
    es: own.prefersNew,
    ps: mean(paraphrases.map((reading) => reading.prefersNew)),
    rewrite: own.accuracy,
    paraphrase: mean(paraphrases.map((reading) => reading.accuracy)),
    agree: await agreement(model, edited, tests.neighbours),
    otherAgree: await agreement(model, edited, tests.otherRelations),
    free: says[0],
    freeParaphrase: mean(says.slice(1)),
  }
}

/** How many next tokens are what they were. */
async function agreement(model, edited, questions) {
  const kept = questions.map(({ prompt, targets }) => ({ prompt, target: targets[0] }))
  const [before, after] = [await model.score(kept), await edited.score(kept)]
  return mean(after.map(({ argmax }, i) => (argmax[0] === before[i].argmax[0] ? 1 : 0)))
}

async function forced(edited, prompts, targetNew, targetOld) {
  const ofNew = await edited.score(prompts.map((prompt) => ({ prompt, target: targetNew })))
  const ofOld = await edited.score(prompts.map((prompt) => ({ prompt, target: targetOld })))
  return ofNew.map(({ ids, argmax, logProbs }, i) => ({
    accuracy: mean(ids.map((id, t) => (id === argmax[t] ? 1 : 0))),
    prefersNew: mean(logProbs) > mean(ofOld[i].logProbs) ? 1 : 0,
  }))
}

function print({
  method,
  cases,
  es,
  ps,
  rewrite,
  paraphrase,
  agree,
  otherAgree,
  free,
  freeParaphrase,
  prepareS,
  editS,
}) {
  const percent = (value) => (value === null ? '–' : (100 * value).toFixed(0)).padStart(3)
  const rates = `ES ${percent(es)} PS ${percent(ps)} · TF ${percent(rewrite)} /${percent(paraphrase)} · agree ${percent(agree)} /${percent(otherAgree)} · free ${percent(free)} /${percent(freeParaphrase)}`
  console.log(
    `${method.padEnd(9)} n ${cases} · ${rates} · prepare ${prepareS.toFixed(1)} s, edit ${editS.toFixed(2)} s`,
  )
}

async function isSaved(report, name, hparams) {
  const saved = (await readKept(measuredFile(report), { results: {} })).results[name]
  return saved?.version === EDITORS[name].version && isDeepStrictEqual(saved.hparams, hparams)
}

async function saveAll(report) {
  for (const result of report.results) await save(report, result)
}

async function save(report, { method, rows: _, ...result }) {
  const { model, facts, about, batch, inARow } = report
  const file = measuredFile(report)
  const saved = await readKept(file, { model, facts, about, batch, inARow, results: {} })
  if (saved.about !== about) throw new Error(`${file} was measured otherwise: ${saved.about}`)
  await keep(file, { ...saved, results: { ...saved.results, [method]: result } })
}

async function timed(work) {
  const startedAt = performance.now()
  const result = await work()
  return [(performance.now() - startedAt) / 1000, result]
}

function parseSetting(text) {
  if (text === 'true' || text === 'false') return text === 'true'
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}
