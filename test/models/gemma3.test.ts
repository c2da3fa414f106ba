/** Gemma 3: tiny models against PyTorch, and the real 270M where this machine has it (tools/golden/gemma3.py). */
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { gemma3 } from '../../src/models/gemma3.ts'
import { loadModel } from '../../src/models/index.ts'
import { textConfigOf } from '../../src/models/text-config.ts'
import { describeArchitecture } from '../support/architecture-suite.ts'
import { expectClose } from '../support/close.ts'
import { GOLDEN, put, safetensorsBytes, temporaryFolder } from '../support/model-files.ts'
import { openRealModel } from '../support/real-model.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

for (const name of ['tiny-gemma3', 'tiny-gemma3-scaled'] as const) describeArchitecture(name)

describe('a Gemma 3 with pictures', () => {
  const config = JSON.parse(readFileSync(join(GOLDEN, 'tiny-gemma3', 'config.json'), 'utf8'))
  const { architectures: _, model_type: type, eos_token_id, ...text } = config

  test.each(['language_model.model.', 'model.language_model.'])(
    'writes what its text part writes (%s)',
    async (place) => {
      const folder = temporaryFolder()
      cpSync(join(GOLDEN, 'tiny-gemma3', 'tokenizer.json'), join(folder, 'tokenizer.json'))
      put(
        folder,
        'config.json',
        JSON.stringify({ model_type: 'gemma3', eos_token_id, text_config: { ...text, model_type: type } }),
      )
      const bytes = readFileSync(join(GOLDEN, 'tiny-gemma3', 'model.safetensors'))
      const start = 8 + Number(bytes.readBigUInt64LE())
      const { __metadata__: __, ...header } = JSON.parse(bytes.subarray(8, start).toString())
      const renamed = Object.entries(header).map(([name, entry]) => [name.replace(/^model\./, place), entry])
      put(folder, 'model.safetensors', safetensorsBytes(Object.fromEntries(renamed), bytes.subarray(start)))

      const [whole, part] = [
        await loadModel(folder, { hubCache: '' }, testContext()),
        await openTinyModel('tiny-gemma3'),
      ]
      const query = [{ prompt: 'The capital of France is', target: 'Paris' }]
      expect(await whole.score(query)).toEqual(await part.score(query))
      await Promise.all([whole.close(), part.close()])
    },
  )

  test('leaves out what is the default of its kind', () => {
    const given = { hidden_size: 2560, intermediate_size: 10_240, num_hidden_layers: 34, model_type: 'gemma3_text' }
    const found = gemma3.open(textConfigOf({ model_type: 'gemma3', text_config: { ...given, sliding_window: 1024 } }))
    expect(found.config).toMatchObject({
      layers: 34,
      width: 2560,
      heads: 8,
      kvHeads: 4,
      headWidth: 256,
      vocabulary: 262_208,
    })
    expect(found.attention.slice(4, 6).map(({ window }) => window)).toEqual([1024, null])
  })

  test('is no other configuration', () => {
    const plain = { model_type: 'llama', text_config: { vocab_size: 5 } }
    expect(textConfigOf(plain)).toBe(plain)
  })
})

// Logits reach 30; float32 sums over 18 layers in another order move them in the fourth decimal.
const F32_LOGITS = { absolute: 1e-3 }

interface Golden {
  texts: { text: string; ids: number[]; topIds: number[]; topLogits: number[] }[]
  generations: { prompt: string; ids: number[]; text: string }[]
}

const found = await openRealModel('gemma3-270m')
if (typeof found === 'string') console.warn(`Skipped, Gemma 3 270M of gemma3.test.ts: ${found}`)

describe.skipIf(typeof found === 'string')('Gemma 3 270M', () => {
  if (typeof found === 'string') return
  const model = found
  const golden: Golden = JSON.parse(readFileSync(new URL('../golden/gemma3-270m.json', import.meta.url), 'utf8'))
  afterAll(() => model.close())

  test('cuts texts as SentencePiece does, and gives the logits that PyTorch gives', async () => {
    const rows: Int32Array[] = []
    for (const { text, ids } of golden.texts) {
      rows.push((await model.tokenizer.encode(text)).ids)
      expect([...(rows.at(-1) ?? [])]).toEqual(ids)
    }
    const at = rows.map((ids, row) => ({ row, token: ids.length - 1 }))
    const { reads } = await model.run({ tokens: { rows }, read: [{ site: 'logits', at }] })
    golden.texts.forEach(({ text, topIds, topLogits }, row) => {
      const logits = topIds.map((id) => reads[0]?.data[row * model.config.vocabulary + id] ?? Number.NaN)
      expectClose(logits, topLogits, F32_LOGITS, text)
    })
  })

  test('answers twenty prompts as PyTorch does', async () => {
    expect(golden.generations).toHaveLength(20)
    const prompts = golden.generations.map(({ prompt }) => prompt)
    const written = await model.generate(prompts, { maxNewTokens: 16 })
    expect(written.map(({ ids }) => ids)).toEqual(golden.generations.map(({ ids }) => ids))
    expect(written.map(({ text }) => text.trim())).toEqual(golden.generations.map(({ text }) => text.trim()))
  })
})
