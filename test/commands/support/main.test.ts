import { describe, expect, test } from 'vitest'
import { runBin, startBin } from '../../support/run-command.ts'

describe('the process', () => {
  test('--help tells commands, topics and what exit codes mean', async () => {
    const { stdout, stderr, exit } = await runBin(['--help'])
    expect({ stderr, exit }).toEqual({ stderr: '', exit: 0 })
    for (const word of ['advise', 'doctor', 'facts', 'methods', 'models', 'probe', 'profile', 'rank']) {
      expect(stdout).toMatch(new RegExp(`^ +${word} `, 'm'))
    }
    expect(stdout).not.toMatch(/^ +support/m)
    expect(stdout).toContain('66 input missing')
  })

  test('--version names the program and its version', async () => {
    expect((await runBin(['--version'])).stdout).toMatch(/^whichedit\/\d+\.\d+\.\d+ /)
  })

  test('a command that does not exist ends with 2 and the nearest ones', async () => {
    const { stdout, stderr, exit } = await runBin(['methds', 'lst'])
    expect({ stdout, exit }).toEqual({ stdout: '', exit: 2 })
    expect(stderr).toContain('E_UNKNOWN_COMMAND  there is no command "methds lst"')
    expect(stderr).toContain('Try: whichedit methods list')
  })

  test('and says so in JSON where JSON was asked for', async () => {
    const { stdout, stderr, exit } = await runBin(['rnk', '--json'])
    expect({ stderr, exit }).toEqual({ stderr: '', exit: 2 })
    expect(JSON.parse(stdout)).toEqual({
      schemaVersion: 1,
      error: {
        code: 'E_UNKNOWN_COMMAND',
        message: 'there is no command "rnk"',
        suggestions: ['whichedit rank', 'whichedit --help'],
        exit: 2,
      },
    })
  })

  test('a wrong flag ends with 2 and never shows the program inside', async () => {
    const { stdout, exit } = await runBin(['methods', 'list', '--bogus', '--json'])
    expect(exit).toBe(2)
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'E_USAGE', message: 'Nonexistent flag: --bogus' })
    expect(stdout).not.toContain(process.cwd())
  })

  test('a bare call is advise: with nobody to ask it names what is missing', async () => {
    const { stderr, exit } = await runBin([])
    expect(exit).toBe(2)
    expect(stderr).toContain('--profile')
  })

  test('a reader that goes away is no error', async () => {
    const { child, promise } = startBin(['methods', 'list'])
    child.stdout.destroy()
    expect(await promise).toEqual({ stdout: '', stderr: '', exit: 0 })
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s before any work ends with %d', async (signal, exit) => {
    const { child, promise } = startBin(['doctor'])
    await new Promise((resolve) => setTimeout(resolve, 30))
    child.kill(signal)
    expect((await promise).exit).toBe(exit)
  })
})
