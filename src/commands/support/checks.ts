/** What `doctor` looks at: one function a part, each with a finding and, where something is wrong, what to do about it. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { availableParallelism, freemem, totalmem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { ModelPlaces } from '../../models/known.ts'

/** How a part is: `warn` works with limits, `fail` does not work. */
export type CheckStatus = 'ok' | 'warn' | 'fail'

/** What was found about one part. */
export interface Finding {
  readonly status: CheckStatus
  readonly found: string
  /** What to do; absent where all is well. */
  readonly remedy?: string
}

/** One part to look at. */
export interface Check {
  readonly name: string
  readonly look: () => Promise<Finding>
}

const GIB = 2 ** 30
/** The 135 M model as float32 weights, its download and a conversion side by side. */
const DISK_WANTED_BYTES = 2 * GIB
const DISK_NEEDED_BYTES = 0.2 * GIB
/** Weights, one session's work space and Node itself for the 135 M model. */
const MEMORY_WANTED_BYTES = 2 * GIB
const PIP_TIMEOUT_MS = 20_000

/** Runs the checks one after another; one that throws has failed, with its message as the finding. */
export async function runChecks(checks: readonly Check[]): Promise<(Finding & { readonly name: string })[]> {
  const findings = []
  for (const { name, look } of checks) {
    const finding = await look().catch((error: unknown): Finding => {
      return { status: 'fail', found: error instanceof Error ? error.message : String(error) }
    })
    findings.push({ name, ...finding })
  }
  return findings
}

/** Node's version: 20 still runs, but gets no security fixes any more. */
export async function checkNode(version: string): Promise<Finding> {
  const found = `Node ${version}, ${process.platform} ${process.arch}, ${availableParallelism()} cores`
  if (Number.parseInt(version, 10) > 20) return { status: 'ok', found }
  return {
    status: 'warn',
    found,
    remedy: 'Node 20 reached its end of life in April 2026; Node 24 is supported until 2028.',
  }
}

/** The runtime computes 2 · 3 + 1. */
export async function checkRuntime(): Promise<Finding> {
  const remedy =
    'Install again: npm rebuild onnxruntime-node. Behind a closed network set ONNXRUNTIME_NODE_INSTALL=skip before npm install.'
  try {
    const { Session } = await import('../../graph/session.ts')
    const { input } = await import('../../graph/graph.ts')
    const { add, multiply } = await import('../../graph/ops/elementwise.ts')
    const startedAt = performance.now()
    const [a, b, c] = [input('a', [1]), input('b', [1]), input('c', [1])]
    const session = await Session.create({ y: add(multiply(a, b), c) })
    const one = (value: number) => ({ dtype: 'float32' as const, shape: [1], data: Float32Array.of(value) })
    const { y } = await session.run({ a: one(2), b: one(3), c: one(1) })
    await session.release()
    const took = `${Math.round(performance.now() - startedAt)} ms`
    if (y?.data[0] === 7) return { status: 'ok', found: `onnxruntime-node computes (${took})` }
    return { status: 'fail', found: `onnxruntime-node computes 2 · 3 + 1 = ${y?.data[0]}`, remedy }
  } catch (error) {
    return { status: 'fail', found: `onnxruntime-node: ${error instanceof Error ? error.message : error}`, remedy }
  }
}

/** The tokenizer library splits a word of a vocabulary of two. */
export async function checkTokenizers(): Promise<Finding> {
  const remedy = 'Install again: npm install. There are binaries for Linux, macOS and Windows on x64 and arm64.'
  try {
    const { openTokenizer } = await import('../../models/tokenizer.ts')
    const json = { version: '1.0', model: { type: 'WordLevel', vocab: { yes: 0, '?': 1 }, unk_token: '?' } }
    const tokenizer = openTokenizer(json, { file: 'doctor', endsOfText: [1], vocabulary: 2 })
    const { ids } = await tokenizer.encode('yes')
    if (ids.length === 1 && ids[0] === 0) return { status: 'ok', found: 'tokenizers loads and encodes' }
    return { status: 'fail', found: `tokenizers gave [${ids.join(', ')}] for the word of id 0`, remedy }
  } catch (error) {
    return { status: 'fail', found: `tokenizers: ${error instanceof Error ? error.message : error}`, remedy }
  }
}

/** pip is wanted only to fetch a model that a Python package carries. */
export async function checkPip(commands: readonly (readonly [string, ...string[]])[] = PIP_COMMANDS): Promise<Finding> {
  for (const [program, ...words] of commands) {
    try {
      const { stdout } = await promisify(execFile)(program, [...words, '--version'], { timeout: PIP_TIMEOUT_MS })
      return { status: 'ok', found: stdout.trim().split(' from ')[0] ?? '' }
    } catch {
      // The next way to call it may work.
    }
  }
  const remedy =
    'Only `models pull` of a model with a short name needs it: install Python 3 with pip, or give --model a folder or a GGUF file.'
  return { status: 'warn', found: 'no pip', remedy }
}

const PIP_COMMANDS = [['python3', '-m', 'pip'], ['python', '-m', 'pip'], ['pip']] as const

/** A real model that has a name lies in the Hugging Face cache; any other is given by its path. One for demonstration ships. */
export async function checkModels(places: ModelPlaces): Promise<Finding> {
  const { listModels } = await import('../../models/inventory.ts')
  const { SHIPPED_MODELS } = await import('../../models/shipped.ts')
  const shipped = SHIPPED_MODELS.map(({ name }) => name)
  const models = (await listModels(places)).filter(({ kind }) => kind === 'language-model')
  const real = models.filter(({ name }) => !shipped.includes(name))
  const here = real.flatMap(({ name, path }) => (path === null ? [] : [name]))
  if (here.length > 0) return { status: 'ok', found: [...shipped, ...here].join(', ') }
  const remedy = `whichedit models pull ${real[0]?.name}, or give --model a folder or a GGUF file.`
  return { status: 'warn', found: `only ${shipped.join(', ')}, for demonstration; none in ${places.hubCache}`, remedy }
}

/** A folder takes a new file. It need not exist yet; then the nearest folder above it counts. */
export async function checkFolder(folder: string): Promise<Finding> {
  const nearest = await nearestFolder(resolve(folder))
  try {
    const probe = await mkdtemp(join(nearest, '.whichedit-doctor-'))
    await writeFile(join(probe, 'file'), 'x')
    await rm(probe, { recursive: true })
    return { status: 'ok', found: `${folder} can be written` }
  } catch (error) {
    const remedy = `Give yourself the right to write in ${nearest}, or choose another folder (XDG_CACHE_HOME, XDG_CONFIG_HOME, HF_HOME).`
    return { status: 'fail', found: `${folder}: ${error instanceof Error ? error.message : error}`, remedy }
  }
}

/** Room for a model and its conversion. */
export async function checkDisk(folder: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(await nearestFolder(resolve(folder)))
  const bytes = bavail * bsize
  const found = `${formatGib(bytes)} free at ${folder}`
  const remedy = `Free some space, or point XDG_CACHE_HOME elsewhere: a small model takes ${formatGib(DISK_WANTED_BYTES)}.`
  if (bytes < DISK_NEEDED_BYTES) return { status: 'fail', found, remedy }
  return bytes < DISK_WANTED_BYTES ? { status: 'warn', found, remedy } : { status: 'ok', found }
}

/** Room for a model's weights and the work on them. */
export async function checkMemory(free = freemem(), total = totalmem()): Promise<Finding> {
  const found = `${formatGib(free)} of ${formatGib(total)} memory free`
  if (free >= MEMORY_WANTED_BYTES) return { status: 'ok', found }
  return {
    status: 'warn',
    found,
    remedy: `Close other programs: a small model wants ${formatGib(MEMORY_WANTED_BYTES)}.`,
  }
}

async function nearestFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() || dirname(folder) === folder) return folder
  return nearestFolder(dirname(folder))
}

function formatGib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`
}
