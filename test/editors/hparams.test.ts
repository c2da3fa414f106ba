import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Editor, Hparams } from '../../src/editors/editor.ts'
import { ftL } from '../../src/editors/ft-l.ts'
import {
  type HparamValue,
  listSiteSettings,
  loadHparams,
  publishedSchema,
  readPublishedHparams,
  settleHparams,
} from '../../src/editors/hparams.ts'
import { memit } from '../../src/editors/memit.ts'
import { none } from '../../src/editors/none.ts'
import type { ModelConfig } from '../../src/models/model.ts'
import { parseSettings } from '../../src/settings.ts'

function config(layers: number, width = 576): ModelConfig {
  return {
    architecture: 'llama',
    layers,
    encoderLayers: 0,
    width,
    mlpWidth: 4 * width,
    heads: 9,
    kvHeads: 3,
    headWidth: 64,
    vocabulary: 100,
    contextLength: 2048,
    tiedHead: true,
  }
}

const FIELDS: Editor<Hparams>['hparams'] = {
  layer: { meaning: 'm', unit: 'layer', reference: 'r' },
  rate: { meaning: 'm', unit: '1', range: [0, 1], reference: 'r' },
  steps: { meaning: 'm', unit: 'steps', range: [1, 50], whole: true, reference: 'r' },
  start: { meaning: 'm', unit: 'word', range: ['cold', 'warm'], reference: 'r' },
  copy: { meaning: 'm', unit: 'yes or no', reference: 'r' },
}

test.each([
  { layers: 32, width: 4096, layer: 21, why: 'the published model itself' },
  { layers: 30, width: 576, layer: 20, why: '21/32 of 30 is 19.7' },
  { layers: 28, width: 3072, layer: 21, why: 'Llama-3.2-3B has an entry of its own' },
  { layers: 28, width: 2048, layer: 18, why: 'as deep as Llama-3.2-3B, but not it' },
  { layers: 1, width: 8, layer: 0, why: 'the last layer at most' },
])('takes layer $layer of $layers: $why', async ({ layers, width, layer }) => {
  expect(await loadHparams(ftL, config(layers, width))).toEqual({
    layer,
    learningRate: 5e-4,
    steps: 25,
    batchSize: 1,
    normLimit: 0,
    stopLoss: 0.01,
  })
})

test('what the user says goes before what was published', async () => {
  const hparams = await loadHparams(ftL, config(30), { layer: 3, steps: 7 })
  expect(hparams).toMatchObject({ layer: 3, steps: 7, learningRate: 5e-4 })
  expect(await loadHparams(ftL, config(30), { layer: '1/3' })).toMatchObject({ layer: 10 })
})

test('reads published settings without a model, and a control has none', async () => {
  expect((await readPublishedHparams(ftL)).defaults.layer).toBe('21/32')
  expect(await loadHparams(none, config(30))).toEqual({})
})

describe('layers found for a model', () => {
  test('go before the published depth, and all values say where they come from', async () => {
    const { hparams, origins } = await settleHparams(memit, config(30), {
      sites: { firstLayer: 9, lastLayer: 13 },
      overrides: { steps: 7 },
    })
    expect(hparams).toMatchObject({ firstLayer: 9, lastLayer: 13, steps: 7, clamp: 4 })
    expect(origins).toMatchObject({ firstLayer: 'found', lastLayer: 'found', steps: 'said', clamp: 'any' })
    expect((await settleHparams(memit, config(30))).origins).toMatchObject({ firstLayer: 'depth', lastLayer: 'depth' })
  })

  test('give way to what is published for exactly this model', async () => {
    const { hparams, origins } = await settleHparams(ftL, config(28, 3072), { sites: { layer: 3 } })
    expect([hparams.layer, origins.layer, origins.steps]).toEqual([21, 'model', 'any'])
  })

  test('give way to what the user says', async () => {
    const { hparams, origins } = await settleHparams(ftL, config(30), { sites: { layer: 3 }, overrides: { layer: 4 } })
    expect([hparams.layer, origins.layer]).toEqual([4, 'said'])
  })

  test('are named by the settings that are layers', () => {
    expect([ftL, memit, none].map(listSiteSettings)).toEqual([['layer'], ['firstLayer', 'lastLayer'], []])
  })
})

const REFUSED: { set: Record<string, HparamValue>; says: string }[] = [
  { set: { layer: 30 }, says: 'ft-l: layer: expected a layer from 0 to 29 or a depth such as 21/32, found 30' },
  { set: { layer: '32/32' }, says: 'found 32/32' },
  { set: { layer: -1 }, says: 'found -1' },
  { set: { learningRate: Number.NaN }, says: 'expected a number from 1e-8 to 1 (1), found NaN' },
  { set: { steps: 2.5 }, says: 'expected a whole number from 1 to 10000 (epochs), found 2.5' },
  { set: { step: 2 }, says: 'expected one of the settings layer, learningRate' },
  { set: { toString: 2 }, says: 'expected one of the settings' },
  { set: { 'a\u001b[31m': 2 }, says: 'ft-l: a' },
]

test.each(REFUSED)('refuses $set from the user', async ({ set, says }) => {
  const refused = loadHparams(ftL, config(30), set)
  await expect(refused).rejects.toMatchObject({ code: 'E_HPARAM', exit: 2 })
  await expect(refused).rejects.toThrow(says)
  await expect(refused).rejects.not.toThrow('\u001b')
})

const GOOD = `defaults: {layer: 1/3, rate: 0.5, steps: 5, start: cold, copy: true}
models:
  - match: {architecture: llama, layers: 28}
    settings: {layer: 27, copy: false}
about: {idea: i, formula: f, limits: [l]}
`

test('accepts a file in which every kind of setting is right', async () => {
  await expect(parseSettings(GOOD, publishedSchema(FIELDS), 'a.yaml')).resolves.toMatchObject({
    defaults: { start: 'cold' },
    models: [{ settings: { layer: 27, copy: false } }],
  })
})

test.each([
  { from: 'rate: 0.5', to: 'rate: 1.5', says: 'a.yaml:1:30: expected a number from 0 to 1 (1), found 1.5' },
  { from: 'steps: 5', to: 'steps: 5.5', says: 'a.yaml:1:42: expected a whole number from 1 to 50 (steps), found 5.5' },
  { from: 'start: cold', to: 'start: hot', says: 'expected one of cold, warm, found "hot"' },
  { from: 'copy: true', to: 'copy: 1', says: 'expected true or false, found 1' },
  { from: 'layer: 1/3', to: 'layer: 5', says: 'expected a depth such as 21/32, found 5' },
  { from: 'layer: 1/3', to: 'layer: 3/3', says: 'found "3/3"' },
  { from: 'layer: 1/3, ', to: '', says: 'the key defaults.layer' },
  {
    from: 'layer: 27',
    to: 'layer: 28',
    says: 'a.yaml:4:23: expected a layer from 0 to 27 or a depth such as 21/32, found 28',
  },
  { from: 'layer: 27', to: 'lair: 27', says: 'found "lair"; did you mean layer?' },
  { from: ', layers: 28', to: '', says: 'the key models.0.match.layers' },
  { from: 'limits: [l]', to: 'limits: []', says: 'a.yaml:5:38: expected at least 1 items' },
  { from: 'about: {idea: i, formula: f, limits: [l]}', to: '', says: 'the key about' },
  { from: 'rate: 0.5', to: 'rate: .nan', says: 'expected a number from 0 to 1 (1), found NaN' },
])('refuses a file with "$to" for "$from", and says where', async ({ from, to, says }) => {
  const refused = parseSettings(GOOD.replace(from, to), publishedSchema(FIELDS), 'a.yaml')
  await expect(refused).rejects.toMatchObject({ code: 'E_SETTINGS' })
  await expect(refused).rejects.toThrow(says)
})

test('the schema of a file is one that zod can describe', () => {
  expect(() => z.toJSONSchema(publishedSchema(FIELDS), { io: 'input', unrepresentable: 'any' })).not.toThrow()
})
