/** The real model against PyTorch (tools/golden/smollm2.py): logits, sites, gradients, texts and tokens. */
import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import type { Position, RunRequest, Site } from '../../src/models/model.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { openRealModel } from '../support/real-model.ts'

// Logits reach 36; float32 sums over 30 layers in another order move them by up to 2.3e-4.
const F32_LOGITS = { absolute: 1e-3 }
const F32_LOG_PROBS = { absolute: 1e-3 }
const F32_HIDDEN = { relative: 1e-3 }
// Euclidean, of the whole gradient.
const F32_GRADIENT = 1e-3
const F32_LOSS = { relative: 1e-3 }
const LAYER = 10
const CORNER = 16

interface Golden {
  endOfText: number
  fixedIds: number[]
  texts: {
    text: string
    ids: number[]
    logits: { token: number; topIds: number[]; topLogits: number[]; fixedLogits: number[]; logSumExp: number }[]
    sites: Record<string, { norm: number; first: number[] }>
  }[]
  scored: { prompt: string; target: string; ids: number[]; logProbs: number[]; argmax: number[] }[]
  gradients: {
    rows: number[][]
    at: Position[]
    nll: (Position & { target: number; weight: number })[]
    kl: (Position & { weight: number })[]
    lossTerms: [number, number]
    deltaGradient: { norm: number; values: number[] }
    weight: string
    weightGradient: { norm: number; corner: number[]; rowSums: number[] }
  }
  generations: { prompt: string; ids: number[]; text: string }[]
  tokenizer: { text: string; ids: number[]; offsets: [number, number][]; decoded: string }[]
}

const golden: Golden = JSON.parse(readFileSync(new URL('../golden/smollm2-135m.json', import.meta.url), 'utf8'))
const found = await openRealModel()
if (typeof found === 'string') console.warn(`Skipped, all of smollm2.test.ts: ${found}`)

describe.skipIf(typeof found === 'string')('SmolLM2-135M-Instruct', () => {
  if (typeof found === 'string') return
  const model = found
  afterAll(() => model.close())

  test('logits of all texts, in one batch of unequal rows', async () => {
    const at = golden.texts.flatMap(({ logits }, row) => logits.map(({ token }) => ({ row, token })))
    const tokens = { rows: golden.texts.map(({ ids }) => Int32Array.from(ids)) }
    const { reads } = await model.run({ tokens, read: [{ site: 'logits', at }] })
    const all = reads[0]?.data ?? new Float32Array()
    const vocabulary = model.config.vocabulary
    golden.texts
      .flatMap(({ logits }) => logits)
      .forEach((expected, i) => {
        const row = all.subarray(i * vocabulary, (i + 1) * vocabulary)
        const pick = (ids: number[]) => ids.map((id) => row[id] ?? Number.NaN)
        expectClose(pick(expected.topIds), expected.topLogits, F32_LOGITS, 'likeliest')
        expectClose(pick(golden.fixedIds), expected.fixedLogits, F32_LOGITS, 'fixed ids')
        const sum = Math.log(row.reduce((total, logit) => total + Math.exp(logit), 0))
        expectClose([sum], [expected.logSumExp], F32_LOGITS, 'log of the sum')
        expect(row.indexOf(Math.max(...row))).toBe(expected.topIds[0])
      })
  })

  test('every site of the first, the edited and the last layer', async () => {
    for (const { ids, sites } of golden.texts) {
      const names = Object.keys(sites) as Site[]
      const at = [{ row: 0, token: ids.length - 1 }]
      const tokens = { rows: [Int32Array.from(ids)] }
      const { reads } = await model.run({ tokens, read: names.map((site) => ({ site, at })) })
      names.forEach((site, i) => {
        const { norm, first } = sites[site] ?? { norm: Number.NaN, first: [] }
        const values = reads[i]?.data ?? new Float32Array()
        expectClose([Math.hypot(...values)], [norm], F32_HIDDEN, `${site} norm`)
        // A single number may be tiny beside the vector it belongs to, whose rounding it shares.
        expectClose(
          values.subarray(0, first.length),
          first,
          { absolute: (2e-4 * norm) / Math.sqrt(values.length) + 1e-4 },
          site,
        )
      })
    }
  })

  test('loss and gradients for an activation and a weight, from the start and resumed', async () => {
    const g = golden.gradients
    const tokens = { rows: g.rows.map((ids) => Int32Array.from(ids)) }
    const unedited = await model.run({ tokens, read: [{ site: 'logits', at: g.kl }] })
    const reference = logSoftmaxRows(unedited.reads[0]?.data ?? new Float32Array(), model.config.vocabulary)
    const width = model.config.width
    const delta = Float32Array.from({ length: width }, (_, i) => 2 * Math.fround(Math.sin(i)))
    const request: RunRequest = {
      tokens,
      write: [{ site: `mlp-output.${LAYER}`, mode: 'add', value: tensor(delta, [1, width]), at: g.at }],
      loss: [
        { kind: 'nll', at: g.nll },
        { kind: 'kl', at: g.kl, reference: tensor(reference, [g.kl.length, model.config.vocabulary]) },
      ],
      weights: { [g.weight]: await model.weight(g.weight) },
      gradientOf: [`mlp-output.${LAYER}`, g.weight],
    }
    const { capture } = await model.run({ tokens, capture: { layer: LAYER } })
    for (const asked of [request, { ...request, ...(capture ? { resume: capture } : {}) }]) {
      const { lossTerms, gradients } = await model.run(asked)
      expectClose(lossTerms, g.lossTerms, F32_LOSS, 'loss terms')
      const byDelta = gradients[`mlp-output.${LAYER}`]?.data ?? []
      expect(relativeError(byDelta, g.deltaGradient.values)).toBeLessThan(F32_GRADIENT)
      const byWeight = gradients[g.weight]?.data ?? new Float32Array()
      expectClose([Math.sqrt(byWeight.reduce((sum, x) => sum + x * x, 0))], [g.weightGradient.norm], F32_LOSS, 'norm')
      const corner = Array.from({ length: CORNER * CORNER }, (_, i) => {
        return byWeight[Math.floor(i / CORNER) * width + (i % CORNER)] ?? Number.NaN
      })
      expect(relativeError(corner, g.weightGradient.corner)).toBeLessThan(F32_GRADIENT)
      const rowSums = g.weightGradient.rowSums.map((_, row) => {
        return byWeight.subarray(row * width, (row + 1) * width).reduce((sum, x) => sum + x, 0)
      })
      expect(relativeError(rowSums, g.weightGradient.rowSums)).toBeLessThan(F32_GRADIENT)
    }
  })

  test('log-probabilities of targets after prompts', async () => {
    const scores = await model.score(golden.scored)
    golden.scored.forEach(({ prompt, target, ids, logProbs, argmax }, i) => {
      expect(scores[i]?.ids, `${prompt} ${target}`).toEqual(ids)
      expectClose(scores[i]?.logProbs, logProbs, F32_LOG_PROBS, target)
      expect(scores[i]?.argmax).toEqual(argmax)
    })
  })

  test('greedy texts of 20 prompts are identical, alone and in batches', async () => {
    expect(golden.generations).toHaveLength(20)
    const maxNewTokens = Math.max(...golden.generations.map(({ ids }) => ids.length))
    const wanted = golden.generations.map(({ ids, text }) => ({ ids, text }))
    const together = await model.generate(
      golden.generations.map(({ prompt }) => prompt),
      { maxNewTokens },
    )
    expect(together).toEqual(wanted)
    for (const [i, { prompt }] of golden.generations.slice(0, 3).entries()) {
      expect(await model.generate([prompt], { maxNewTokens })).toEqual([wanted[i]])
    }
  })

  test.each(golden.tokenizer)('tokens of $text', async ({ text, ids, offsets, decoded }) => {
    const encoding = await model.tokenizer.encode(text)
    expect([...encoding.ids]).toEqual(ids)
    expect(encoding.offsets).toEqual(offsets)
    expect([...(await model.tokenizer.encodeContinuation(text))]).toEqual(ids)
    expect(await model.tokenizer.decode(ids)).toBe(decoded)
  })

  test('stops at the end of its turn', () => {
    expect(model.tokenizer.endsOfText).toEqual([golden.endOfText])
  })
})

function logSoftmaxRows(logits: Float32Array, columns: number): Float32Array {
  const result = new Float32Array(logits.length)
  for (let start = 0; start < logits.length; start += columns) {
    const row = logits.subarray(start, start + columns)
    const sum = Math.log(row.reduce((total, logit) => total + Math.exp(logit), 0))
    for (let i = 0; i < columns; i++) result[start + i] = (row[i] ?? 0) - sum
  }
  return result
}
