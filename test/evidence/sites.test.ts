import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { memit } from '../../src/editors/memit.ts'
import { type FoundSites, readSites, sitesFile, writeSites } from '../../src/evidence/sites.ts'
import { temporaryFolder } from '../support/model-files.ts'
import { makeRunInfo } from '../support/records.ts'

const MODEL = { name: 'tiny', fingerprint: '0123456789abcdef0123', chat: false, layers: 8 }
const RATES = { reliability: 1, generalization: 0.5, locality: null }
const { machine, versions } = makeRunInfo()

const tried = (firstLayer: number): FoundSites['candidates'][number] => ({
  sites: { firstLayer, lastLayer: firstLayer + 1 },
  origin: 'near',
  run: '0123456789abcdef',
  cases: 2,
  failures: 0,
  rates: RATES,
  teacherForced: RATES,
  mean: 0.66,
  editS: 1.5,
})
const FOUND: FoundSites = {
  schemaVersion: 1,
  model: MODEL,
  method: memit.name,
  version: memit.version,
  sites: { firstLayer: 3, lastLayer: 4 },
  sweptAt: '2026-01-02T03:04:05.678Z',
  facts: { name: 'facts.json', hash: 'd1', cases: ['f1', 'f2'], subjects: ['France', 'Spain'] },
  seed: 0,
  traced: { facts: 2, peak: 3, range: [3, 4] },
  candidates: [tried(1), tried(3)],
  machine,
  versions: { ...versions },
}

let root: string
beforeEach(() => {
  root = temporaryFolder()
})

test('are read as they were written, by model and method', async () => {
  expect(await readSites(root, MODEL, memit)).toBeNull()
  const file = await writeSites(root, FOUND)
  expect(file).toBe(join(root, '0123456789abcdef', 'memit.json'))
  expect(await readSites(root, MODEL, memit)).toEqual({ file, found: FOUND, isCurrent: true })
  expect(await readSites(root, { ...MODEL, fingerprint: 'fedcba98765432100000' }, memit)).toBeNull()
})

test('of a model asked through its chat template are others', async () => {
  await writeSites(root, FOUND)
  const chat = { ...MODEL, chat: true }
  expect(await readSites(root, chat, memit)).toBeNull()
  expect(await writeSites(root, { ...FOUND, model: chat })).toContain('0123456789abcdef-chat')
})

test('of another version of the method are told apart, whatever settings it had', async () => {
  const sites = { layer: 3 }
  await writeSites(root, { ...FOUND, version: memit.version + 1, sites, candidates: [{ ...tried(3), sites }] })
  expect(await readSites(root, MODEL, memit)).toMatchObject({ isCurrent: false, found: { sites } })
})

const BROKEN: [what: string, from: string | RegExp, to: string, says: RegExp][] = [
  ['a file cut short', /"candidates"[\s\S]*/, '', /memit\.json:\d+:\d+: expected YAML/],
  [
    'a layer that is a word',
    '"lastLayer": 4\n  },\n  "swept',
    '"lastLayer": "x"\n  },\n  "swept',
    /:13:18: expected a number, found "x"/,
  ],
  [
    'a layer that was not tried',
    '"lastLayer": 4\n  },\n  "swept',
    '"lastLayer": 5\n  },\n  "swept',
    /expected the layers of one of the candidates, found a mapping/,
  ],
  [
    'another model',
    '0123456789abcdef0123',
    '0123456789abcdef9999',
    /:5:\d+: expected the fingerprint of this model, 0123456789abcdef0123, found "0123456789abcdef9999"/,
  ],
  ['another method', '"method": "memit"', '"method": "rome"', /expected memit, found "rome"/],
  ['a rate above 1', '"generalization": 0.5', '"generalization": 5', /expected at most 1, found 5/],
  ['a schema of the future', '"schemaVersion": 1', '"schemaVersion": 2', /:2:\d+: expected 1, found 2/],
]

test.each(BROKEN)('%s is refused with its place', async (_, from, to, says) => {
  const file = await writeSites(root, FOUND)
  const text = readFileSync(file, 'utf8')
  expect(text.replace(from, to)).not.toBe(text)
  writeFileSync(file, text.replace(from, to))
  const refused = readSites(root, MODEL, memit)
  await expect(refused).rejects.toMatchObject({ code: 'E_SITES', exit: 2 })
  await expect(refused).rejects.toThrow(says)
  await expect(refused).rejects.toThrow(/memit\.json:\d+:\d+: [\s\S]*put it right, or remove it and tune again/)
})

test('a layer that the model does not have is refused', async () => {
  await writeSites(root, FOUND)
  await expect(readSites(root, { ...MODEL, layers: 4 }, memit)).rejects.toThrow(
    'expected a layer from 0 to 3 as firstLayer and lastLayer',
  )
})

test('what is no file cannot be read', async () => {
  const file = sitesFile(root, MODEL, memit.name)
  mkdirSync(dirname(file), { recursive: true })
  mkdirSync(file)
  await expect(readSites(root, MODEL, memit)).rejects.toMatchObject({ code: 'E_SETTINGS_UNREADABLE' })
})
