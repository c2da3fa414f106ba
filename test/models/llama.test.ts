import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenModel } from '../../src/models/index.ts'
import type { LossTerm, Position, RunRequest, Site, Write } from '../../src/models/model.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../support/close.ts'
import { openTinyModel } from '../support/tiny-model.ts'

/** Rounding in float32 over four layers; PyTorch and the runtime add in different orders. */
const F32_FORWARD = { absolute: 1e-4 }
const F32_GRADIENT = { relative: 1e-3 }

/** As in tools/golden/tiny_llama.py. */
const NEW_TOKENS = 12

interface Golden {
  rows: { ids: number[]; logits: number[]; argmax: number[]; logProbs: number[]; sites: Record<string, number[]> }[]
  gradientRows: number[][]
  gradients: {
    site: Write['site']
    mode: Write['mode']
    at: (Position & { index: number })[]
    nll: (Position & { target: number; weight: number })[]
    kl: (Position & { weight: number })[]
    weight: string
    value: { shape: number[]; data: number[] }
    reference: { shape: number[]; data: number[] }
    lossTerms: number[]
    valueGradient: { data: number[] }
    weightGradient: { shape: number[]; data: number[] }
  }[]
  generations: { prompt: string; ids: number[]; text: string }[]
}

describe.each(['tiny-llama', 'tiny-llama-untied', 'tiny-qwen2'] as const)('%s', (name) => {
  const golden = JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as Golden
  let model: OpenModel
  beforeAll(async () => {
    model = await openTinyModel(name)
  })
  afterAll(() => model.close())

  const allRows = { rows: golden.rows.map(({ ids }) => Int32Array.from(ids)) }
  const ends = golden.rows.map(({ ids }, row) => ({ row, token: ids.length - 1 }))

  test('says what PyTorch says, rows of all lengths in one batch', async () => {
    const following = golden.rows.flatMap(({ ids }, row) => ids.slice(1).map((_, token) => ({ row, token })))
    const { reads } = await model.run({
      tokens: allRows,
      read: [
        { site: 'logits', at: ends },
        { site: 'logits', at: 'all', as: 'argmax' },
        { site: 'logits', at: following, as: 'log-probs', targets: golden.rows.flatMap(({ ids }) => ids.slice(1)) },
      ],
    })
    expectClose(
      reads[0]?.data,
      golden.rows.flatMap(({ logits }) => logits),
      F32_FORWARD,
      'logits',
    )
    expect([...(reads[1]?.data ?? [])]).toEqual(golden.rows.flatMap(({ argmax }) => argmax))
    expectClose(
      reads[2]?.data,
      golden.rows.flatMap(({ logProbs }) => logProbs),
      F32_FORWARD,
      'log-probabilities',
    )
  })

  test('reads every site', async () => {
    const sites = Object.keys(golden.rows[0]?.sites ?? {}) as Site[]
    const { reads } = await model.run({ tokens: allRows, read: sites.map((site) => ({ site, at: ends })) })
    sites.forEach((site, i) => {
      expectClose(
        reads[i]?.data,
        golden.rows.flatMap((row) => row.sites[site] ?? []),
        F32_FORWARD,
        site,
      )
    })
    expect(sites.length).toBeGreaterThanOrEqual(12)
  })

  test.each(golden.gradients.map((gradient, i) => [i, gradient] as const))(
    'loss and gradients agree (%i), from the start and resumed at every allowed layer and position',
    async (_, g) => {
      const weight = await model.weight(g.weight)
      const request: RunRequest = {
        tokens: { rows: golden.gradientRows.map((ids) => Int32Array.from(ids)) },
        write: [{ site: g.site, mode: g.mode, value: fromGolden(g.value), at: g.at }],
        loss: [
          { kind: 'nll', at: g.nll },
          { kind: 'kl', at: g.kl, reference: fromGolden(g.reference) },
        ] satisfies LossTerm[],
        weights: { [g.weight]: weight },
        gradientOf: [g.site, g.weight],
      }
      const check = (result: Awaited<ReturnType<typeof model.run>>, what: string) => {
        expectClose(result.lossTerms, g.lossTerms, { relative: 1e-4 }, `${what} loss`)
        expectClose(result.gradients[g.site]?.data, g.valueGradient.data, F32_GRADIENT, `${what} value`)
        const [out, into] = [g.weightGradient.shape[1], g.weightGradient.shape[0]]
        expect(weight.shape).toEqual([into, out])
        expectClose(result.gradients[g.weight]?.data, g.weightGradient.data, F32_GRADIENT, `${what} weight`)
      }
      check(await model.run(request), 'whole')

      const [kind, number] = g.site.split('.')
      const layer = Number(number)
      if (kind !== 'mlp-output' || !g.weight.includes(`.${layer}.`)) return
      const { capture } = await model.run({ tokens: request.tokens, capture: { layer } })
      check(await model.run({ ...request, ...(capture ? { resume: capture } : {}) }), 'resumed')
    },
  )

  test("resumed from each row's first written position, gives what the whole run gives", async () => {
    for (const g of golden.gradients.filter(({ site }) => site.startsWith('mlp-output'))) {
      const layer = Number(g.site.split('.')[1])
      const tokens = { rows: golden.gradientRows.map((ids) => Int32Array.from(ids)) }
      const from = tokens.rows.map((_, row) => {
        const written = g.at.filter((at) => at.row === row).map(({ token }) => token)
        return written.length === 0 ? 0 : Math.min(...written)
      })
      expect(Math.max(...from)).toBeGreaterThan(0)
      const request: RunRequest = {
        tokens,
        write: [{ site: g.site, mode: g.mode, value: fromGolden(g.value), at: g.at }],
        loss: [{ kind: 'nll', at: g.nll.filter(({ row, token }) => token >= (from[row] ?? 0)) }],
        gradientOf: [g.site],
      }
      const { capture } = await model.run({ tokens, capture: { layer, from } })
      const whole = await model.run(request)
      const resumed = await model.run({ ...request, ...(capture ? { resume: capture } : {}) })
      expectClose(resumed.lossTerms, whole.lossTerms, { relative: 1e-5 }, 'loss')
      expectClose(resumed.gradients[g.site]?.data, whole.gradients[g.site]?.data ?? [], { relative: 1e-4 }, 'gradient')
    }
  })

  test('writes on greedily as PyTorch does, alone and in a batch of unequal rows', async () => {
    const prompts = golden.generations.map(({ prompt }) => prompt)
    const together = await model.generate(prompts, { maxNewTokens: NEW_TOKENS })
    for (const [i, { ids }] of golden.generations.entries()) {
      expect(together[i]?.ids).toEqual(ids)
      const alone = await model.generate([prompts[i] ?? ''], { maxNewTokens: NEW_TOKENS })
      expect(alone[0]?.ids).toEqual(ids)
    }
  })
})

function fromGolden({ shape, data }: { shape: number[]; data: number[] }) {
  return tensor(Float32Array.from(data), shape)
}
