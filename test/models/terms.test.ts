import { mkdirSync, rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { hubFolder } from '../../src/models/hub-cache.ts'
import type { KnownModel } from '../../src/models/known.ts'
import { agree, isAgreed, requireAgreement } from '../../src/models/terms.ts'
import { put, temporaryFolder } from '../support/model-files.ts'

const FREE: KnownModel = {
  name: 'small',
  title: 'Small',
  kind: 'language-model',
  license: 'MIT',
  repository: 'someone/Small',
  revision: 'abc',
  files: [],
}
const TERMS = { title: 'Terms of Small', url: 'https://example.org/terms', summary: 'Be kind.' }
const TERMED: KnownModel = { ...FREE, terms: TERMS }

test('a model without terms needs no agreement', async () => {
  const places = { hubCache: temporaryFolder() }
  await agree(FREE, places)
  await requireAgreement(FREE, places)
  expect(await isAgreed(FREE, places)).toBe(true)
})

test('an agreement is remembered beside the model, and forgotten with it', async () => {
  const places = { hubCache: temporaryFolder() }
  await expect(requireAgreement(TERMED, places)).rejects.toMatchObject({
    code: 'E_TERMS',
    exit: 2,
    message: expect.stringMatching(
      /Terms of Small \(https:\/\/example\.org\/terms\).*models pull small --accept-terms/,
    ),
  })
  await agree(TERMED, places)
  await requireAgreement(TERMED, places)
  rmSync(hubFolder(TERMED.repository, places.hubCache), { recursive: true })
  expect(await isAgreed(TERMED, places)).toBe(false)
})

test('an agreement to other terms is none', async () => {
  const places = { hubCache: temporaryFolder() }
  await agree({ ...TERMED, terms: { ...TERMS, url: 'https://example.org/older' } }, places)
  expect(await isAgreed(TERMED, places)).toBe(false)
})

test.each(['', '[]', '{"agreedTo": 1}', '{'])('a damaged note is no agreement: %j', async (text) => {
  const places = { hubCache: temporaryFolder() }
  const folder = hubFolder(TERMED.repository, places.hubCache)
  mkdirSync(folder, { recursive: true })
  await agree(TERMED, places)
  put(folder, 'agreed-terms.json', text)
  expect(await isAgreed(TERMED, places)).toBe(false)
})
