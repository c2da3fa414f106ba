/**
 * Our side of `npm run bench`: the same tasks as bench/reference.py, through the library's public interface.
 *
 * Speaks JSON lines: first says what the work is (tokens, positions, settings, for both sides), then answers each task
 * with its milliseconds and with what it computed, so that the driver can check that both sides did the same.
 *
 *   node bench/ours.mjs MODEL THREADS CACHE_FOLDER
 */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { modelPlaces } from '../dist/commands/support/places.js'
import { createRandom, EDITORS, findModel, loadHparams, openModel, tokenOfSpan } from '../dist/index.js'

const [name, threads, cacheDir] = process.argv.slice(2)
const ctx = {
  random: createRandom(1),
  signal: new AbortController().signal,
  progress: () => {},
  cacheDir,
  now: () => performance.now(),
}

const FACT = {
  id: 'bench',
  subject: 'Vincent van Gogh',
  prompt: 'The mother tongue of Vincent van Gogh is',
  subjectSpan: [21, 37],
  targetNew: 'Portuguese',
  targetOld: 'Dutch',
  tests: { paraphrases: [], neighbours: [], otherRelations: [], aliases: [], reversed: [], oneHop: [] },
}
const PROMPTS = [
  'The quickest way to learn a language is',
  'Once upon a time there was a fisherman who',
  'The largest planet of our solar system is',
  'To make tea, you first',
  'The heart pumps',
  'In the year 1969, people all over the world',
  'Canada shares a border with',
  'She plays the violin in',
]
const NEW_TOKENS = 64
const FORWARD_ROWS = 20
const FORWARD_TOKENS = 20

const files = await findModel(name, ctx, modelPlaces())
const model = open()
const rome = { hparams: await loadHparams(EDITORS.rome, model.config) }
const ftM = { hparams: await loadHparams(EDITORS['ft-m'], model.config) }
// Minutes the first time, then kept in the cache: what is measured is the edit, on both sides from the same statistics.
rome.prepared = await EDITORS.rome.prepare({ model, hparams: rome.hparams, material: { text: null, facts: [] } }, ctx)
const work = await describeWork()
const vStep = await captureRows()

const TASKS = {
  forward: async ({ rows, positions }) => {
    const tokens = toTokens(rows)
    const last = rows.map((row, index) => ({ row: index, token: row.length - 1 }))
    const at = positions === 'all' ? 'all' : last
    const { ms, result } = await timed(() => model.run({ tokens, read: [{ site: 'logits', at }] }))
    const logits = result.reads[0]
    const stride = positions === 'all' ? FORWARD_TOKENS : 1
    return { ms, argmax: rows.map((_, index) => argmaxOfRow(logits, (index + 1) * stride - 1)) }
  },
  generate: async ({ rows, newTokens }) => {
    const prompts = PROMPTS.slice(0, rows.length)
    const { ms, result } = await timed(() => model.generate(prompts, { maxNewTokens: newTokens }))
    return { ms, ids: result.map(({ ids }) => ids) }
  },
  v_step: async () => {
    const { ms, result } = await timed(() => model.run(vStep))
    const [gradient] = Object.values(result.gradients)
    return { ms, loss: result.loss, gradientNorm: Math.hypot(...gradient.data) }
  },
  capture: async () => {
    const { ms } = await timed(captureRows)
    return { ms }
  },
  rome: async () => editWith(EDITORS.rome, rome),
  ft_m: async () => editWith(EDITORS['ft-m'], { ...ftM, prepared: undefined }),
  second: async () => {
    const { ms } = await timed(async () => {
      const other = open()
      await other.run({ tokens: toTokens([[1, 2, 3]]), read: [{ site: 'logits', at: [{ row: 0, token: 2 }] }] })
      // Not closed: what it holds is to be seen.
      TASKS.kept = other
    })
    return { ms }
  },
}

send({ ready: true, work })
for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line)
  send(await TASKS[task.do](task))
}

function open() {
  return openModel(files, { threads: Number(threads) })
}

async function timed(job) {
  const start = performance.now()
  const result = await job()
  return { ms: performance.now() - start, result }
}

async function editWith(editor, { hparams, prepared }) {
  const { ms, result } = await timed(() => editor.edit({ model, facts: [FACT], hparams, prepared, history: [] }, ctx))
  const [score] = await model.withPatch(result).score([{ prompt: FACT.prompt, target: FACT.targetNew }])
  const probability = Math.exp(score.logProbs.reduce((sum, logProb) => sum + logProb, 0))
  return { ms, probability, report: result.report }
}

/** The tasks of the other side, as tokens and numbers. */
async function describeWork() {
  const encode = async (string) => [...(await model.tokenizer.encode(string)).ids]
  const subjectIn = async (string, span) => tokenOfSpan(await model.tokenizer.encode(string), span).last
  const targets = [...(await model.tokenizer.encodeContinuation(` ${FACT.targetNew}`))]
  const promptRow = await encode(FACT.prompt)
  const { hparams, prepared } = rome
  const keyRows = await Promise.all(prepared.prefixes.map((prefix) => encode(prefix + FACT.prompt)))
  const keyAt = await Promise.all(
    prepared.prefixes.map((prefix) =>
      subjectIn(
        prefix + FACT.prompt,
        FACT.subjectSpan.map((place) => place + prefix.length),
      ),
    ),
  )
  const essence = `${FACT.subject} is a`
  const valueRows = [...keyRows.map((row) => [...row, ...targets.slice(0, -1)]), await encode(essence)]
  const valueAt = [...keyAt, await subjectIn(essence, [0, FACT.subject.length])]
  const delta = Array.from({ length: model.config.width }, (_, index) => Math.fround(Math.sin(index)))
  const value = { layer: hparams.layer, valueRows, valueAt, targets, klFactor: hparams.klFactor, delta }
  return {
    model: { folder: dirname([...files.weights.values()][0].file), name: model.name, config: model.config },
    forward: { rows: forwardRows() },
    generate: {
      rows: await Promise.all(PROMPTS.map(encode)),
      newTokens: NEW_TOKENS,
      endsOfText: model.tokenizer.endsOfText,
    },
    vStep: { ...value, weightDecay: 0 },
    rome: {
      ...value,
      ...hparams,
      delta: null,
      keyRows,
      keyAt,
      promptRow,
      covariance: await writeCovariance(prepared.covariance),
    },
    ftM: { ...ftM.hparams, row: [...promptRow, ...targets.slice(0, -1)], promptRow, targets },
  }
}

/** Hands the second moment to the other side, as float64 in a file. */
async function writeCovariance({ matrix }) {
  const file = join(await mkdtemp(join(tmpdir(), 'whichedit-bench-')), 'covariance.bin')
  await writeFile(file, matrix)
  return file
}

/** The request of one v* step, resumed from a capture of what no δ can change. */
async function captureRows() {
  const { layer, valueRows, valueAt, targets, klFactor, delta } = work.vStep
  const tokens = toTokens(valueRows)
  const at = valueAt.map((token, row) => ({ row, token }))
  const essence = at.slice(-1)
  const { reads, capture } = await model.run({
    tokens,
    read: [{ site: 'logits', at: essence }],
    capture: { layer, from: valueAt },
  })
  const prompts = valueRows.slice(0, -1)
  const weight = 1 / prompts.length / targets.length
  return {
    tokens,
    resume: capture,
    write: [{ site: `mlp-output.${layer}`, mode: 'add', value: vector(delta), at }],
    gradientOf: [`mlp-output.${layer}`],
    loss: [
      {
        kind: 'nll',
        at: prompts.flatMap(({ length }, row) =>
          targets.map((target, i) => ({ row, token: length - targets.length + i, target, weight })),
        ),
      },
      { kind: 'kl', at: [{ ...essence[0], weight: klFactor }], reference: logSoftmax(reads[0]) },
    ],
  }
}

function forwardRows() {
  const id = (place) => (place * 7919 + 13) % model.config.vocabulary
  return Array.from({ length: FORWARD_ROWS }, (_, row) =>
    Array.from({ length: FORWARD_TOKENS }, (_, token) => id(row * FORWARD_TOKENS + token)),
  )
}

function toTokens(rows) {
  return { rows: rows.map((row) => Int32Array.from(row)) }
}

function vector(numbers) {
  return { dtype: 'float32', shape: [1, numbers.length], data: Float32Array.from(numbers) }
}

function argmaxOfRow({ data, shape }, row) {
  const columns = shape.at(-1)
  let best = row * columns
  for (let place = best; place < (row + 1) * columns; place++) if (data[place] > data[best]) best = place
  return best % columns
}

function logSoftmax(logits) {
  const largest = logits.data.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const sum = Math.log(logits.data.reduce((total, logit) => total + Math.exp(logit - largest), 0)) + largest
  return { ...logits, data: logits.data.map((logit) => logit - sum) }
}

function send(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
