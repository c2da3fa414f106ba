/**
 * Our engine beside PyTorch: the same work, in turns, in one run. `npm run bench -- [options]`
 *
 *   --model NAME      the model (smollm2-135m)
 *   --rounds N        how often each task runs on either side (7; editing tasks half of it)
 *   --threads N       threads of either side (2)
 *   --tasks a,b       only these tasks
 *   --write-readme    put the table into the README, between its markers
 *
 * Needs Python with PyTorch: `python3 -m pip install -r bench/requirements.txt`; another interpreter is named by
 * WHICHEDIT_BENCH_PYTHON. Times are medians; ratios are of medians, with the range of the ratios of single rounds, which
 * run back to back and so share what else the machine was doing. Results go to bench/results/.
 */
import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeMachine, putBetween, today } from '../tools/published.mjs'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const README = join(HERE, '..', 'README.md')
const SAMPLE_MS = 25
// Sums in float32 in another order: the two sides never agree to the last bit.
const SAME_LOSS = 1e-3
// Of the log-probability of the new answer after an edit: two dozen steps of Adam widen those differences.
const SAME_ANSWER = 0.02
const MIB = 2 ** 20

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'smollm2-135m' },
    rounds: { type: 'string', default: '7' },
    threads: { type: 'string', default: '2' },
    tasks: { type: 'string' },
    'write-readme': { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
const python = process.env.WHICHEDIT_BENCH_PYTHON ?? 'python3'
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'whichedit')

/** A child process that answers one JSON line with another; knows the most memory it ever held. */
class Side {
  constructor(command, args) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]()
    this.gone = new Promise((_, reject) => {
      this.child.on('error', reject)
      this.child.on('exit', (code) => reject(new Error(`${command} ended with ${code}`)))
    })
    this.gone.catch(() => {})
    this.peak = 0
  }

  async next() {
    const sampling = setInterval(() => this.memory(), SAMPLE_MS)
    try {
      const { value } = await Promise.race([this.lines.next(), this.gone])
      await this.memory()
      return JSON.parse(value)
    } finally {
      clearInterval(sampling)
    }
  }

  ask(task) {
    this.child.stdin.write(`${JSON.stringify(task)}\n`)
    return this.next()
  }

  /** Anonymous bytes now: what the process has for itself. */
  async memory() {
    const now = await this.bytes('status', 'RssAnon')
    this.peak = Math.max(this.peak, now)
    return now
  }

  /** Bytes of mapped files in memory, each page counted once however often it is mapped. Slow: walks all pages. */
  mapped() {
    return this.bytes('smaps_rollup', 'Pss_File')
  }

  async bytes(file, key) {
    const text = await readFile(`/proc/${this.child.pid}/${file}`, 'utf8').catch(() => '')
    return Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024
  }

  end() {
    this.child.removeAllListeners('exit')
    this.child.stdin.end()
  }
}

const ours = new Side(process.execPath, [join(HERE, 'ours.mjs'), options.model, options.threads, cache])
const { work } = await ours.next()
const theirs = new Side(python, [join(HERE, 'reference.py'), work.model.folder, options.threads])
const { versions, error } = await theirs.next().catch((cause) => ({
  error: `${cause.message}; name a Python with PyTorch in WHICHEDIT_BENCH_PYTHON`,
}))
if (error !== undefined) {
  process.stderr.write(`The PyTorch side cannot run: ${error}\n`)
  process.exit(1)
}

const editRounds = Math.max(2, Math.ceil(rounds / 2))
const single = { ...work.generate, rows: work.generate.rows.slice(0, 1) }
const close = (a, b) => Math.abs(a - b) <= SAME_LOSS * Math.abs(b)
const sameLoss = (a, b) => close(a.loss, b.loss) && close(a.gradientNorm, b.gradientNorm)
const sameArgmax = (a, b) => String(a.argmax) === String(b.argmax)
const sameTexts = (a, b) => a.ids.every((ids, row) => ids.every((id, place) => id === b.ids[row][place]))
const sameAnswer = (a, b) => Math.abs(Math.log(a.probability / b.probability)) < SAME_ANSWER
// Counted on our side for both: the other one fills rows that ended early.
const tokensOf = ({ ids }) => ids.reduce((sum, row) => sum + row.length, 0)

/** Every comparison: what it is called, what either side is asked, how to see that both did the same, the least ratio wanted. */
const TASKS = [
  {
    name: 'forward-last',
    title: 'forward, 20 × 20 tokens, logits at the last token',
    ask: [{ do: 'forward', positions: 'last', ...work.forward }],
    same: sameArgmax,
    target: 1,
  },
  {
    name: 'forward-all',
    title: 'forward, 20 × 20 tokens, logits everywhere',
    ask: [{ do: 'forward', positions: 'all', ...work.forward }],
    same: sameArgmax,
    target: 1,
  },
  {
    name: 'v-step',
    title: `one v* step (${work.vStep.valueRows.length} prompts, layer ${work.vStep.layer}), PyTorch as the public code does it`,
    ask: [{ do: 'v_step', ...work.vStep }],
    same: sameLoss,
    target: 3,
  },
  {
    name: 'v-step-lean',
    title: 'the same, PyTorch computing only the logits needed',
    ask: [{ do: 'v_step', ...work.vStep, lean: true }],
    same: sameLoss,
  },
  {
    name: 'rome',
    title: `a whole ROME edit (${work.rome.steps} steps at most, second moment at hand)`,
    ask: [{ do: 'rome', ...work.rome }],
    rounds: editRounds,
    same: sameAnswer,
  },
  {
    name: 'ft-m',
    title: `a whole FT-M edit (layer ${work.ftM.layer}, ${work.ftM.steps} steps at most)`,
    ask: [{ do: 'ft_m', ...work.ftM }],
    rounds: editRounds,
    same: sameAnswer,
  },
  {
    name: 'generate-1',
    title: `generation, 1 prompt, ${work.generate.newTokens} tokens`,
    ask: [{ do: 'generate', ...single }],
    same: sameTexts,
    tokens: tokensOf,
    target: 1.3,
  },
  {
    name: 'generate-8',
    title: `generation, 8 prompts, ${work.generate.newTokens} tokens each`,
    ask: [{ do: 'generate', ...work.generate }],
    same: sameTexts,
    tokens: tokensOf,
    target: 1.3,
  },
]

const chosen = options.tasks === undefined ? TASKS : TASKS.filter(({ name }) => options.tasks.split(',').includes(name))
const results = []
for (const task of chosen) results.push(await compare(task))
const memory = await compareMemory()
ours.end()
theirs.end()
await publish({ ...describeRun(), versions: { node: process.versions.node, ...versions }, results, memory })
if (results.some(({ same }) => !same)) process.exitCode = 1

/** Runs a task on both sides in turns; the first round of each is not counted (compilation, caches). */
async function compare({ name, title, ask: [question], same, tokens, target, rounds: own = rounds }) {
  const first = await ours.ask(question)
  const firstOther = await theirs.ask(question)
  const times = { ours: [], theirs: [] }
  for (let round = 0; round < own; round++) {
    const order = round % 2 === 0 ? ['ours', 'theirs'] : ['theirs', 'ours']
    for (const side of order) times[side].push((await (side === 'ours' ? ours : theirs).ask(question)).ms)
  }
  const result = {
    name,
    title,
    rounds: own,
    ours: median(times.ours),
    theirs: median(times.theirs),
    ratios: times.ours.map((ms, round) => times.theirs[round] / ms).sort((a, b) => a - b),
    firstMs: first.ms,
    times,
    same: same(first, firstOther),
    ...(tokens === undefined ? {} : { tokens: tokens(first) }),
    ...(target === undefined ? {} : { target }),
    answers: [first, firstOther],
  }
  process.stderr.write(`${describe(result).join(' · ')}\n`)
  return result
}

async function compareMemory() {
  const peaks = {}
  const second = {}
  for (const [name, side] of Object.entries({ ours, theirs })) {
    peaks[name] = { anonymous: side.peak, mapped: await side.mapped() }
    const before = await side.memory()
    const { ms } = await side.ask({ do: 'second' })
    second[name] = { ms, anonymous: (await side.memory()) - before }
  }
  return { peaks, second }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The cells of a row. */
function describe({ title, ours: mine, theirs: other, ratios, rounds: times, tokens, same, target }) {
  const ratio = other / mine
  const cell = (ms) => (tokens === undefined ? time(ms) : `${((tokens / ms) * 1000).toFixed(0)} tokens/s`)
  const goal = target === undefined ? '' : `${target.toFixed(1)} × ${ratio >= target ? 'met' : 'missed'}`
  const range = `${ratios[0].toFixed(2)}–${ratios.at(-1).toFixed(2)}`
  const verdict = same ? 'yes' : 'no'
  return [title, cell(mine), cell(other), `${ratio.toFixed(2)} ×`, range, goal, `${times}`, verdict]
}

function time(ms) {
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`
}

function describeRun() {
  return {
    date: today(),
    machine: describeMachine(),
    threads: Number(options.threads),
    model: work.model.name,
  }
}

async function publish(report) {
  const text = toMarkdown(report)
  const folder = join(HERE, 'results')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `${report.date}.json`), `${JSON.stringify(report, null, 1)}\n`)
  await writeFile(join(folder, `${report.date}.md`), text)
  process.stdout.write(text)
  if (options['write-readme']) await putBetween(README, 'BENCH', text)
}

function toMarkdown({ date, machine, threads, model, versions, results: rows, memory: { peaks, second } }) {
  const mib = (bytes) => `${Math.round(bytes / MIB)} MiB`
  const both = ({ anonymous, mapped }) => `${mib(anonymous)} + ${mib(mapped)}`
  const goal = `< 50 MiB ${second.ours.anonymous < 50 * MIB ? 'met' : 'missed'}`
  const tools = `Node ${versions.node}, PyTorch ${versions.torch}, transformers ${versions.transformers}`
  return [
    `${model}, float32, ${threads} threads a side. ${machine}. ${tools}. ${date}.`,
    'Both sides run in turns; times are medians, range is that of the ratio over single rounds; first runs are not counted.',
    '',
    '| | whichedit | PyTorch | ratio | range | target | rounds | same result |',
    '|---|--:|--:|--:|--:|--:|--:|--:|',
    ...rows.map((row) => `| ${describe(row).join(' | ')} |`),
    `| peak memory over all of the above, own + mapped files | ${both(peaks.ours)} | ${both(peaks.theirs)} | | | | | |`,
    `| a second model on the same weights, own memory | ${mib(second.ours.anonymous)} | ${mib(second.theirs.anonymous)} | | | ${goal} | | |`,
    '',
    ...firstRuns(rows),
    '',
  ].join('\n')
}

/** Compiling is paid once a method and model; the table leaves it out, so it is said here. */
function firstRuns(rows) {
  const named = rows.filter(({ name }) => ['rome', 'ft-m', 'generate-1'].includes(name))
  if (named.length === 0) return []
  const said = named.map(({ name, firstMs, ours: usual }) => `${name} ${time(firstMs)} (then ${time(usual)})`)
  return [`Our first run of each kind also compiles its graphs: ${said.join(', ')}.`]
}
