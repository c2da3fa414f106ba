import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import MethodsShow from '../../../src/commands/methods/show.ts'
import { EDITORS } from '../../../src/editors/index.ts'
import { writeSites } from '../../../src/evidence/sites.ts'
import { snapshotFolder } from '../../../src/models/hub-cache.ts'
import { ENCODER } from '../../../src/models/index.ts'
import { KNOWN_MODELS, type KnownModel } from '../../../src/models/known.ts'
import { GOLDEN, temporaryFolder } from '../../support/model-files.ts'
import { makeRunInfo } from '../../support/records.ts'
import { runCommand } from '../../support/run-command.ts'

test('shows idea, paper, needs and settings', async () => {
  const { stdout, exit } = await runCommand(MethodsShow, ['ft-m'], { env: { COLUMNS: '120' } })
  expect(exit).toBe(0)
  expect(stdout).toMatch(/^FT-M \(ft-m\)\n/)
  expect(stdout).toContain('Trains the down-projection of one layer on the one fact. It leads the model along')
  expect(stdout).toContain('\n  loss = mean over j of −log p(tⱼ | x, t₁ … tⱼ₋₁)\n')
  expect(stdout).toMatch(/^- Paraphrases seldom follow/m)
  expect(stdout).toContain('Needs   gradient')
  expect(stdout).toMatch(/^learningRate +0\.0005 +1e-8–1 +lr +learning rate of Adam$/m)
  expect(stdout).toMatch(/^layer +21\/32 +a layer +layers/m)
})

test.each(Object.keys(EDITORS))('%s: every setting has its published value', async (name) => {
  const { stdout } = await runCommand(MethodsShow, [name, '--json'])
  const { settings } = JSON.parse(stdout)
  expect(settings.filter(({ value }: { value: unknown }) => value === null)).toEqual([])
})

test('says that a method has no settings', async () => {
  expect((await runCommand(MethodsShow, ['none'])).stdout).toContain('It has no settings.')
})

test('names the nearest method for a word that names none', async () => {
  const { stderr, exit } = await runCommand(MethodsShow, ['ft-n'])
  expect(exit).toBe(2)
  expect(stderr).toMatch(/^E_METHOD {2}expected a method of none, ft-l, .*, found "ft-n"\. Did you mean "ft-[lm]"\?/)
})

test('refuses names of the object prototype', async () => {
  expect((await runCommand(MethodsShow, ['constructor'])).exit).toBe(2)
})

test('says what makes the sentence vectors of a method that searches by them, and of no other', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'whichedit-test-'))
  const vectorsOf = async (name: string) =>
    JSON.parse((await runCommand(MethodsShow, [name, '--json'], { env: { HF_HOME: folder } })).stdout).sentenceVectors
  expect(await vectorsOf('ft-m')).toBeNull()
  expect(await vectorsOf('ike')).toMatch(/own hidden states, .* models pull minilm brings it$/)
  const minilm = KNOWN_MODELS.find(({ name }) => name === ENCODER)
  for (const { path } of minilm?.files ?? []) {
    const file = join(snapshotFolder(minilm as KnownModel, join(folder, 'hub')), path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, 'x')
  }
  expect(await vectorsOf('ike')).toBe('by the encoder minilm')
})

test.each([
  [
    'a depth carries over',
    join(GOLDEN, 'tiny-llama'),
    'layer',
    1,
    'depth',
    /^layer +1 +published depth 5\/32 +layer whose/m,
  ],
  ['layers are its own', 'atlas', 'layer', 2, 'model', /^layer +2 +published for this model +layer whose/m],
  ['what is no layer is for any model', 'atlas', 'clamp', 4, 'any', /^clamp +4 +default +largest change/m],
])('with a model says what holds there and where it comes from: %s', async (_, model, setting, value, origin, line) => {
  const cwd = temporaryFolder()
  const where = { cwd, env: { COLUMNS: '120', WHICHEDIT_JSON: undefined } }
  const { stdout, exit } = await runCommand(MethodsShow, ['rome', '--model', model], where)
  expect(exit).toBe(0)
  expect(stdout).toMatch(line)
  expect(stdout).not.toContain('Tried for')
  const shown = JSON.parse((await runCommand(MethodsShow, ['rome', '--model', model, '--json'], where)).stdout)
  const [found] = shown.settings.filter(({ name }: { name: string }) => name === setting)
  expect([found.value, found.origin, shown.sites]).toEqual([value, origin, null])
  expect(shown.model.fingerprint).toMatch(/^[0-9a-f]{64}$/)
})

test('layers found for a model that has published ones are shown, and not in use', async () => {
  const cwd = temporaryFolder()
  const where = { cwd, env: { COLUMNS: '120', WHICHEDIT_JSON: undefined } }
  const { model } = JSON.parse((await runCommand(MethodsShow, ['rome', '--model', 'atlas', '--json'], where)).stdout)
  const rates = { reliability: 1, generalization: 0.5, locality: 0.25 }
  const { machine, versions } = makeRunInfo()
  await writeSites(join(cwd, '.whichedit', 'sites'), {
    schemaVersion: 1,
    model: { ...model, chat: false, layers: 6 },
    method: 'rome',
    version: EDITORS.rome.version,
    sites: { layer: 4 },
    sweptAt: '2026-01-02T03:04:05.678Z',
    facts: { name: 'facts.json', hash: 'd1', cases: ['f1'], subjects: ['France'] },
    seed: 0,
    traced: { facts: 3, peak: 4, range: [3, 4] },
    candidates: [
      {
        sites: { layer: 4 },
        origin: 'traced',
        run: '0',
        cases: 1,
        failures: 0,
        rates,
        teacherForced: rates,
        mean: 3 / 7,
        editS: 1.26,
      },
      {
        sites: { layer: 2 },
        origin: 'published',
        run: '1',
        cases: 0,
        failures: 1,
        rates: { ...rates, locality: null },
        teacherForced: rates,
        mean: null,
        editS: null,
        reason: 'no room',
      },
    ],
    machine,
    versions: { ...versions },
  })
  const { stdout } = await runCommand(MethodsShow, ['rome', '--model', 'atlas'], where)
  expect(stdout).toMatch(/^layer +2 +published for this model +layer whose/m)
  expect(stdout.slice(stdout.indexOf('Tried'))).toBe(
    [
      'Tried for atlas on 2026-01-02 by 1 fact of facts.json, but layers published for exactly this model are in use.',
      'Tracing 3 facts proposes layer 4, with half of it or more from layer 3 to 4.',
      'LAYERS   FROM       RELIABILITY  GENERALIZATION  LOCALITY  MEAN  EDIT   FAILED',
      'layer 2  published  100          50              –         –            1',
      'layer 4  traced     100          50              25        43    1.3 s          chosen',
      'layer 2 failed: no room',
      '',
    ].join('\n'),
  )
})
