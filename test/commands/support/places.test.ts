import { homedir } from 'node:os'
import { afterEach, expect, test } from 'vitest'
import { modelPlaces } from '../../../src/commands/support/places.ts'

const saved = { ...process.env }

afterEach(() => {
  process.env = { ...saved }
})

test.each([
  { env: {}, hubCache: `${homedir()}/.cache/huggingface/hub` },
  { env: { XDG_CACHE_HOME: '/x' }, hubCache: '/x/huggingface/hub' },
  { env: { XDG_CACHE_HOME: '/x', HF_HOME: '/h' }, hubCache: '/h/hub' },
  { env: { HF_HOME: '/h', HF_HUB_CACHE: '/c' }, hubCache: '/c' },
  { env: { HF_HOME: '' }, hubCache: `${homedir()}/.cache/huggingface/hub` },
])('models are looked for as other tools do: $env', ({ env, hubCache }) => {
  for (const name of ['XDG_CACHE_HOME', 'HF_HOME', 'HF_HUB_CACHE']) delete process.env[name]
  Object.assign(process.env, env)
  expect(modelPlaces()).toEqual({ hubCache })
})
