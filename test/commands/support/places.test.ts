import { homedir } from 'node:os'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { hubAccess, modelPlaces } from '../../../src/commands/support/places.ts'
import { put, temporaryFolder } from '../../support/model-files.ts'

const NAMES = [
  'HF_HUB_CACHE',
  'HF_HOME',
  'XDG_CACHE_HOME',
  'HF_ENDPOINT',
  'HF_TOKEN',
  'HF_TOKEN_PATH',
  'HF_HUB_OFFLINE',
]

/** Sets the variables that count, and no other of them. */
function surround(env: Readonly<Record<string, string | undefined>>): void {
  for (const name of NAMES) vi.stubEnv(name, env[name])
}

afterEach(() => vi.unstubAllEnvs())

test.each([
  { env: {}, hubCache: `${homedir()}/.cache/huggingface/hub` },
  { env: { XDG_CACHE_HOME: '/x' }, hubCache: '/x/huggingface/hub' },
  { env: { XDG_CACHE_HOME: '/x', HF_HOME: '/h' }, hubCache: '/h/hub' },
  { env: { HF_HOME: '/h', HF_HUB_CACHE: '/c' }, hubCache: '/c' },
  { env: { HF_HOME: '' }, hubCache: `${homedir()}/.cache/huggingface/hub` },
])('models are looked for as other tools do: $env', ({ env, hubCache }) => {
  surround(env)
  expect(modelPlaces()).toEqual({ hubCache })
})

describe('hubAccess', () => {
  const HOME = temporaryFolder()

  test.each<[Record<string, string>, string]>([
    [{}, 'https://huggingface.co'],
    [{ HF_ENDPOINT: '' }, 'https://huggingface.co'],
    [{ HF_ENDPOINT: 'http://mirror:8080' }, 'http://mirror:8080'],
    [{ HF_ENDPOINT: 'https://mirror/hub//' }, 'https://mirror/hub'],
  ])('knows the address of %j', async (env, endpoint) => {
    surround({ HF_HOME: HOME, ...env })
    expect(await hubAccess()).toEqual({ endpoint, offline: false })
  })

  test.each(['mirror', 'ftp://mirror', 'https://user:secret@mirror', 'https://mirror?key=secret'])(
    'refuses the address %s, without repeating it',
    async (HF_ENDPOINT) => {
      surround({ HF_HOME: HOME, HF_ENDPOINT })
      const error = await hubAccess().catch((reason) => reason)
      expect(error).toMatchObject({ code: 'E_HUB_UNREACHABLE' })
      expect(error.message).not.toContain('secret')
    },
  )

  test("takes the token of the environment before that of the hub's own tools", async () => {
    const home = temporaryFolder()
    const file = put(home, 'token', 'hf_kept\n')
    surround({ HF_HOME: home, HF_TOKEN: ' hf_given ' })
    expect((await hubAccess()).token).toEqual({ value: 'hf_given', source: 'HF_TOKEN' })
    surround({ HF_HOME: home })
    expect((await hubAccess()).token).toEqual({ value: 'hf_kept', source: file })
    surround({ HF_HOME: HOME, HF_TOKEN_PATH: file })
    expect((await hubAccess()).token).toEqual({ value: 'hf_kept', source: file })
  })

  test.each(['hf_a\nb', 'hf_a b', 'hf_ä'])(
    'refuses a token that no header takes, without repeating it: %j',
    async (HF_TOKEN) => {
      surround({ HF_HOME: HOME, HF_TOKEN })
      const error = await hubAccess().catch((reason) => reason)
      expect(error).toMatchObject({ code: 'E_HUB_TOKEN', exit: 66 })
      expect(error.message).not.toContain('hf_a')
    },
  )

  test.each([
    ['1', true],
    ['TRUE', true],
    ['0', false],
  ])('knows that HF_HUB_OFFLINE=%s means %s', async (HF_HUB_OFFLINE, offline) => {
    surround({ HF_HOME: HOME, HF_HUB_OFFLINE })
    expect((await hubAccess()).offline).toBe(offline)
  })
})
