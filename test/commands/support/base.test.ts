import { Flags } from '@oclif/core'
import { describe, expect, test } from 'vitest'
import { BaseCommand } from '../../../src/commands/support/base.ts'
import { FLAGS } from '../../../src/commands/support/flags.ts'
import { ERRORS, type ErrorCode, WhicheditError } from '../../../src/errors.ts'
import { runCommand } from '../../support/run-command.ts'

class Sample extends BaseCommand {
  static override flags = { fail: Flags.string(), cases: FLAGS.cases, seed: FLAGS.seed }

  async run(): Promise<object> {
    const { flags } = await this.parse(Sample)
    if (flags.fail === 'known') throw new WhicheditError('E_SHAPE', { where: 'here', what: 'bad \u001b[31mshape' })
    if (flags.fail === 'defect') throw new TypeError('x is not a function')
    if (flags.fail === 'prompt') throw Object.assign(new Error('User force closed'), { name: 'ExitPromptError' })
    if (flags.fail === 'gate') this.exit(3)
    if (flags.fail === 'nothing qualifies') return this.endWith({ ranking: [] }, 4)
    if (flags.fail !== undefined && flags.fail in ERRORS) throw new WhicheditError(flags.fail as ErrorCode, {})
    if (flags.fail === 'stopped') await this.stopHalfway()
    const ctx = this.context(flags.seed)
    const draw = ctx.random.stream('test').integer(1_000_000)
    this.log(`cases ${flags.cases}, draw ${draw}`)
    return { cases: flags.cases, draw }
  }

  /** A long job that looks at its signal, as all of them do; the test sends the signal. */
  async stopHalfway(): Promise<void> {
    const { signal } = this.context()
    sendSignal()
    await new Promise((resolve) => setTimeout(resolve, 1))
    signal.throwIfAborted()
  }
}

let sendSignal = (): void => {}

const json = (text: string) => JSON.parse(text)

describe('a command that works', () => {
  test('prints lines, or only its JSON', async () => {
    const plain = await runCommand(Sample, ['--cases', '8'])
    const machine = await runCommand(Sample, ['--cases', '8', '--json'])
    expect(plain).toMatchObject({ exit: 0, stderr: '' })
    expect(plain.stdout).toBe(`cases 8, draw ${json(machine.stdout).draw}\n`)
    expect(json(machine.stdout)).toMatchObject({ cases: 8 })
  })

  test('takes a flag from the environment, and the flag before it', async () => {
    const env = { WHICHEDIT_CASES: '5', WHICHEDIT_JSON: '1' }
    expect(json((await runCommand(Sample, [], { env })).stdout).cases).toBe(5)
    expect(json((await runCommand(Sample, ['--cases', '6'], { env })).stdout).cases).toBe(6)
  })

  test('draws by its seed', async () => {
    const [a, b] = [await runCommand(Sample, ['--seed', '1']), await runCommand(Sample, ['--seed', '2'])]
    expect(a.stdout).not.toBe(b.stdout)
  })
})

describe.each([
  { name: 'a known error', argv: ['--fail', 'known'], exit: 1, code: 'E_SHAPE', text: 'here: bad \\u001b[31mshape' },
  { name: 'an unknown flag', argv: ['--bogus'], exit: 2, code: 'E_USAGE', text: 'Nonexistent flag: --bogus' },
  { name: 'a flag out of range', argv: ['--cases', '0'], exit: 2, code: 'E_USAGE', text: 'greater than or equal to 1' },
  {
    name: 'a closed prompt',
    argv: ['--fail', 'prompt'],
    exit: 130,
    code: 'E_SIGINT',
    text: 'Stopped. Nothing was saved.',
  },
  { name: 'a defect', argv: ['--fail', 'defect'], exit: 1, code: 'E_INTERNAL', text: 'x is not a function' },
])('$name', ({ argv, exit, code, text }) => {
  test('ends with its code and says what was wrong', async () => {
    const outcome = await runCommand(Sample, argv)
    expect(outcome).toMatchObject({ exit, stdout: '' })
    expect(outcome.stderr).toContain(text)
    expect(outcome.stderr.includes('\n    at ')).toBe(code === 'E_INTERNAL')
  })

  test('ends with the same code under --json, in one shape', async () => {
    const outcome = await runCommand(Sample, [...argv, '--json'])
    expect(outcome).toMatchObject({ exit, stderr: '' })
    const document = json(outcome.stdout)
    expect(document).toEqual({
      schemaVersion: 1,
      error: { code, message: expect.any(String), suggestions: expect.any(Array), exit },
    })
    expect(JSON.stringify(document)).not.toContain('plugins')
  })
})

test('an exit asked for by code says nothing', async () => {
  expect(await runCommand(Sample, ['--fail', 'gate', '--json'])).toEqual({ exit: 3, stdout: '', stderr: '' })
})

test.each(Object.entries(ERRORS))('%s ends with its exit code', async (code, { exit }) => {
  expect((await runCommand(Sample, ['--fail', code])).exit).toBe(exit)
  expect((await runCommand(Sample, ['--fail', code, '--json'])).exit).toBe(exit)
})

test('a result may come with a code of its own', async () => {
  const outcome = await runCommand(Sample, ['--fail', 'nothing qualifies', '--json'])
  expect(outcome).toMatchObject({ exit: 4, stderr: '' })
  expect(json(outcome.stdout)).toEqual({ ranking: [] })
})

describe.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s', (name, exit) => {
  test('once lets the job stop, and says that nothing finished is lost', async () => {
    sendSignal = () => process.emit(name)
    const outcome = await runCommand(Sample, ['--fail', 'stopped'])
    expect(outcome).toMatchObject({ exit, stdout: '' })
    expect(outcome.stderr).toContain('What was finished is kept')
    expect(process.listenerCount(name)).toBe(listeners[name])
  })

  test('twice stops at once', async () => {
    const exits: unknown[] = []
    const exitProcess = process.exit
    process.exit = ((code: unknown) => exits.push(code)) as typeof process.exit
    sendSignal = () => [process.emit(name), process.emit(name)]
    await runCommand(Sample, ['--fail', 'stopped'])
    process.exit = exitProcess
    expect(exits).toEqual([exit])
  })
})

const listeners = { SIGINT: process.listenerCount('SIGINT'), SIGTERM: process.listenerCount('SIGTERM') }
