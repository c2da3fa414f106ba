/** Gemma 3: tiny models against PyTorch, and the real 270M where this machine has it (tools/golden/gemma3.py). */
import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { describeArchitecture } from '../support/architecture-suite.ts'
import { expectClose } from '../support/close.ts'
import { openRealModel } from '../support/real-model.ts'

for (const name of ['tiny-gemma3', 'tiny-gemma3-scaled'] as const) describeArchitecture(name)

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
