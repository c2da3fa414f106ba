import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { applyColorChoice, describeDisplay, hasColor, isInteractive } from '../../../src/commands/support/terminal.ts'

const NAMES = ['CI', 'TERM', 'NO_COLOR', 'FORCE_COLOR', 'COLUMNS', 'LC_ALL', 'LC_CTYPE', 'LANG'] as const
const saved = { env: { ...process.env }, stdin: process.stdin.isTTY, stderr: process.stderr.isTTY }

beforeEach(() => {
  for (const name of NAMES) delete process.env[name]
  process.env.TERM = 'xterm'
  Object.assign(process.stdin, { isTTY: true })
  Object.assign(process.stderr, { isTTY: true })
})

afterEach(() => {
  process.env = { ...saved.env }
  Object.assign(process.stdin, { isTTY: saved.stdin })
  Object.assign(process.stderr, { isTTY: saved.stderr })
})

describe('somebody can be asked', () => {
  test.each([
    { name: 'on a terminal', env: {}, is: true },
    { name: 'not with --no-input', env: {}, noInput: true, is: false },
    { name: 'not on a build machine', env: { CI: 'true' }, is: false },
    { name: 'where CI is explicitly off', env: { CI: 'false' }, is: true },
    { name: 'not on a dumb terminal', env: { TERM: 'dumb' }, is: false },
  ])('$name', ({ env, noInput = false, is }) => {
    Object.assign(process.env, env)
    expect(isInteractive(noInput)).toBe(is)
  })

  test.each(['stdin', 'stderr'] as const)('not where %s is a pipe', (stream) => {
    Object.assign(process[stream], { isTTY: false })
    expect(isInteractive(false)).toBe(false)
  })
})

describe('colour', () => {
  const terminal = Object.assign(Object.create(process.stderr), { isTTY: true })
  const pipe = Object.assign(Object.create(process.stderr), { isTTY: false })

  test.each([
    { env: {}, onTerminal: true, onPipe: false },
    { env: { NO_COLOR: '1' }, onTerminal: false, onPipe: false },
    { env: { NO_COLOR: '' }, onTerminal: true, onPipe: false },
    { env: { FORCE_COLOR: '1' }, onTerminal: true, onPipe: true },
    { env: { FORCE_COLOR: '1', NO_COLOR: '1' }, onTerminal: true, onPipe: true },
    { env: { FORCE_COLOR: '0' }, onTerminal: false, onPipe: false },
    { env: { TERM: 'dumb' }, onTerminal: false, onPipe: false },
  ])('$env', ({ env, onTerminal, onPipe }) => {
    Object.assign(process.env, env)
    expect([hasColor(terminal), hasColor(pipe)]).toEqual([onTerminal, onPipe])
  })

  test('--color goes before the environment', () => {
    process.env.NO_COLOR = '1'
    applyColorChoice('always')
    expect(hasColor(pipe)).toBe(true)
    applyColorChoice('never')
    expect(hasColor(terminal)).toBe(false)
  })
})

test.each([
  { env: {}, unicode: true },
  { env: { LANG: 'en_US.UTF-8' }, unicode: true },
  { env: { LANG: 'en_US.UTF-8', LC_ALL: 'C' }, unicode: false },
  { env: { LANG: 'C' }, unicode: false },
])('characters beyond ASCII under $env: $unicode', ({ env, unicode }) => {
  Object.assign(process.env, env)
  expect(describeDisplay().unicode).toBe(unicode)
})

test('COLUMNS sets the width', () => {
  process.env.COLUMNS = '57'
  expect(describeDisplay().columns).toBe(57)
})
