/**
 * Two ways to test a command. `runCommand` runs the class from its source in this process: quick, for what it prints and
 * how it ends. `runBin` runs the built program as a process of its own: for exit codes, signals, pipes and the environment.
 */
import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Command, Config } from '@oclif/core'
import { captureOutput } from '@oclif/test'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BIN = fileURLToPath(new URL('../../bin/run.js', import.meta.url))

/** What a command printed and how it ended. */
export interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly exit: number
}

/** Surroundings of a command. */
export interface Surroundings {
  /** Added to the environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
}

/** Runs a command class from its source. `runCommand(MethodsList, ['--json'])`. Never two at once: output is captured globally. */
export async function runCommand(
  command: Command.Class,
  argv: readonly string[],
  { env = {}, cwd }: Surroundings = {},
): Promise<Outcome> {
  const before = { env: { ...process.env }, cwd: process.cwd() }
  applyEnv(env)
  if (cwd !== undefined) process.chdir(cwd)
  try {
    const config = await loadBareConfig()
    const { stdout, stderr, error } = await captureOutput(() => command.run([...argv], config))
    if (error === undefined) return { stdout, stderr, exit: 0 }
    const exit = 'oclif' in error ? error.oclif?.exit : undefined
    if (exit === undefined) throw error
    return { stdout, stderr, exit }
  } finally {
    process.chdir(before.cwd)
    process.env = before.env
  }
}

/** Runs `bin/run.js` with standard input closed. */
export function runBin(argv: readonly string[], { env = {}, cwd = ROOT }: Surroundings = {}): Promise<Outcome> {
  const { promise } = startBin(argv, { env, cwd })
  return promise
}

/** Builds where sources are newer than what is built; test files that run at the same time take turns. */
function ensureBuilt(): void {
  if (isBuilt) return
  execFileSync(process.execPath, [`${ROOT}tools/build.mjs`, '--if-stale'], { stdio: ['ignore', 'inherit', 'inherit'] })
  isBuilt = true
}

let isBuilt = false

/** Starts `bin/run.js`; the caller may send signals. A process killed by a signal ends with 128 + its number. */
export function startBin(argv: readonly string[], { env = {}, cwd = ROOT }: Surroundings = {}) {
  ensureBuilt()
  const child = spawn(process.execPath, [BIN, ...argv], {
    cwd,
    env: withoutUndefined({ ...process.env, ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const texts = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    texts.stdout += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    texts.stderr += chunk
  })
  const promise = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve({ ...texts, exit: code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 137) }),
    )
  })
  return { child, promise }
}

/** The package as oclif sees it, without its commands and plugins: nothing built is read. */
async function loadBareConfig(): Promise<Config> {
  const pjson = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8'))
  const { commands, plugins, ...oclif } = pjson.oclif
  return Config.load({ root: ROOT, pjson: { ...pjson, oclif }, ignoreManifest: true })
}

function applyEnv(env: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}

function withoutUndefined(env: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}
