/** What PyTorch says about a tiny model, asked of ours: logits, every site, gradients, resumed work and greedy texts. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenModel } from '../../src/models/index.ts'
import type { LossTerm, Position, RunRequest, Site, TokenBatch, Write } from '../../src/models/model.ts'
import { UNIT_ACTIVATIONS, type UnitActivation } from '../../src/models/patch.ts'
import { layerOf } from '../../src/models/window.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { type Tensor, tensor, zeros } from '../../src/tensor/tensor.ts'
import { expectClose } from './close.ts'
import { openTinyModel, type TinyModel } from './tiny-model.ts'

/** Rounding in float32 over four layers; PyTorch and the runtime add in different orders. */
const F32_FORWARD = { absolute: 1e-4 }
const F32_GRADIENT = { relative: 1e-3 }

/** Roles of a layer's linear layers that every architecture has. */
const ROLES = ['attention-query', 'attention-value', 'attention-output', 'mlp-up', 'mlp-down'] as const

interface Row {
  ids: number[]
  /** Tokens of the prompt, in an encoder-decoder; elsewhere the whole row is under test. */
  prompt?: number
}

interface Golden {
  rows: (Row & { logits: number[]; argmax: number[]; logProbs: number[]; sites: Record<string, number[]> })[]
  gradientRows: Row[]
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

/** Declares the suite for one model of test/golden. */
export function describeArchitecture(name: TinyModel): void {
  describe(name, () => {
    const golden = JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as Golden
    let model: OpenModel
    beforeAll(async () => {
      model = await openTinyModel(name)
    })
    afterAll(() => model.close())

    const allRows = batchOf(golden.rows)
    const ends = golden.rows.map(({ ids }, row) => ({ row, token: ids.length - 1 }))
    const lastAt = (site: Site): Position[] =>
      golden.rows.map(({ ids, prompt = ids.length }, row) => {
        const inEncoder = layerOf(site) < model.config.encoderLayers
        return { row, token: (inEncoder ? prompt : ids.length) - 1 }
      })

    test('says what PyTorch says, rows of all lengths in one batch', async () => {
      const led = golden.rows.map(({ ids, prompt = 1 }) => ids.slice(prompt))
      const following = golden.rows.flatMap(({ prompt = 1 }, row) =>
        (led[row] ?? []).map((_, i) => ({ row, token: prompt - 1 + i })),
      )
      const { reads } = await model.run({
        tokens: allRows,
        read: [
          { site: 'logits', at: ends },
          { site: 'logits', at: 'all', as: 'argmax' },
          { site: 'logits', at: following, as: 'log-probs', targets: led.flat() },
        ],
      })
      const of = (what: 'logits' | 'logProbs') => golden.rows.flatMap((row) => row[what])
      expectClose(reads[0]?.data, of('logits'), F32_FORWARD, 'logits')
      expect([...(reads[1]?.data ?? [])]).toEqual(golden.rows.flatMap(({ argmax }) => argmax))
      expectClose(reads[2]?.data, of('logProbs'), F32_FORWARD, 'log-probabilities')
    })

    test('reads every site', async () => {
      const sites = Object.keys(golden.rows[0]?.sites ?? {}) as Site[]
      expect(sites.length).toBe(6 * model.config.layers)
      const { reads } = await model.run({
        tokens: allRows,
        read: sites.map((site) => ({ site, at: lastAt(site) })),
      })
      sites.forEach((site, i) => {
        const expected = golden.rows.flatMap((row) => row.sites[site] ?? [])
        expectClose(reads[i]?.data, expected, F32_FORWARD, site)
      })
    })

    test('what is read at a position does not depend on what stands after it, unless the encoder sees it', async () => {
      const site: Site = `block-output.${model.config.layers - 1}`
      const at = golden.rows.map(({ ids, prompt = ids.length }, row) => ({ row, token: Math.max(prompt - 2, 0) }))
      if (model.config.encoderLayers > 0) return
      const read = [{ site, at }] as const
      const cut = await model.run({ tokens: allRows, read })
      const whole = await model.run({ tokens: allRows, read: [...read, { site, at: 'all', as: 'argmax' }] })
      expectClose(cut.reads[0]?.data, whole.reads[0]?.data ?? [], { absolute: 1e-5 }, site)
    })

    test.each(golden.gradients.map((gradient, i) => [i, gradient] as const))(
      'loss and gradients agree (%i), from the start and resumed at every allowed layer and position',
      async (_, g) => {
        const weight = await model.weight(g.weight)
        const request: RunRequest = {
          tokens: batchOf(golden.gradientRows),
          write: [{ site: g.site, mode: g.mode, value: fromGolden(g.value), at: g.at }],
          loss: [
            { kind: 'nll', at: g.nll },
            { kind: 'kl', at: g.kl, reference: fromGolden(g.reference) },
          ] satisfies LossTerm[],
          weights: { [g.weight]: weight },
          gradientOf: [g.site, g.weight],
          gradientRowsOf: [g.weight],
        }
        const check = (result: Awaited<ReturnType<typeof model.run>>, what: string) => {
          expectClose(result.lossTerms, g.lossTerms, { relative: 1e-4 }, `${what} loss`)
          expectClose(result.gradients[g.site]?.data, g.valueGradient.data, F32_GRADIENT, `${what} value`)
          expect(weight.shape).toEqual(g.weightGradient.shape)
          expectClose(result.gradients[g.weight]?.data, g.weightGradient.data, F32_GRADIENT, `${what} weight`)
          const { inputs = zeros([0, 0]), slopes = zeros([0, 0]) } = result.gradientRows[g.weight] ?? {}
          const product = multiply(transposed(inputs), slopes).data
          expectClose(product, g.weightGradient.data, F32_GRADIENT, `${what} weight, from its rows`)
        }
        check(await model.run(request), 'whole')

        const layer = layerOf(g.site)
        if (!g.site.startsWith('mlp-output') || model.weightName('mlp-down', layer) !== g.weight) return
        const { capture } = await model.run({ tokens: request.tokens, capture: { layer } })
        check(await model.run({ ...request, ...(capture ? { resume: capture } : {}) }), 'resumed')
      },
    )

    test("resumed from each row's first written position, gives what the whole run gives", async () => {
      for (const g of golden.gradients.filter(({ site }) => site.startsWith('mlp-output'))) {
        const layer = layerOf(g.site)
        const tokens = batchOf(golden.gradientRows)
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
        const gradient = whole.gradients[g.site]?.data ?? []
        expectClose(resumed.gradients[g.site]?.data, gradient, { relative: 1e-4 }, 'gradient')
      }
    })

    test('gives the vectors that tokens are embedded as, which differ from the first layer by their positions alone', async () => {
      const ids = [9, 5, 9]
      const { data, shape } = await model.tokenVectors(ids)
      const { width } = model.config
      expect(shape).toEqual([ids.length, width])
      expect(data.slice(2 * width)).toEqual(data.slice(0, width))
      const at = ids.map((_, row) => ({ row, token: 0 }))
      const rows = ids.map((id) => Int32Array.of(id))
      const { reads } = await model.run({ tokens: { rows }, read: [{ site: 'block-input.0', at }] })
      const added = Array.from(reads[0]?.data ?? [], (value, i) => value - (data[i] ?? 0)) // the same for all: one position
      expectClose(added.slice(width, 2 * width), added.slice(0, width), F32_FORWARD)
      expect(Math.max(...data.map(Math.abs))).toBeGreaterThan(0)
    })

    test('one captured row serves several, with a write to the input of the down-projection where they resume', async () => {
      const [row] = golden.gradientRows
      if (row === undefined) throw new Error('no row')
      const last = row.ids.length - 1
      const layer = model.config.encoderLayers
      const site: Site = `mlp-inner.${layer}`
      const one = batchOf([row])
      const place = { row: 0, token: last }
      const { reads } = await model.run({ tokens: one, read: [{ site, at: [place] }] })
      const inner = reads[0]?.data ?? new Float32Array()
      const { capture } = await model.run({ tokens: one, capture: { layer, from: [last] } })

      const shares = [0.25, 1, 0.5]
      const value = tensor(Float32Array.from(shares.flatMap((share) => [...inner].map((x) => share * x))), [
        shares.length,
        inner.length,
      ])
      const at = shares.map((_, index) => ({ row: index, token: last, index }))
      const request: RunRequest = {
        tokens: batchOf(shares.map(() => row)),
        write: [{ site, mode: 'replace', value, at }],
        loss: [{ kind: 'nll', at: at.map((position) => ({ ...position, target: 9, weight: 1 })) }],
        read: [{ site: 'logits', at }],
        gradientOf: [site],
      }
      const whole = await model.run(request)
      const resumed = await model.run({ ...request, ...(capture ? { resume: capture } : {}) })
      expectClose(resumed.reads[0]?.data, whole.reads[0]?.data ?? [], F32_FORWARD, 'logits')
      expectClose(resumed.gradients[site]?.data, whole.gradients[site]?.data ?? [], F32_GRADIENT, 'gradients')
    })

    test.each(ROLES)(
      'what is added to the weight of %s is trained by gradients that follow from its own',
      async (role) => {
        const layer = model.config.layers - 1
        const name = model.weightName(role, layer)
        const weight = await model.weight(name)
        const [into, out] = model.weightShape(name)
        expect(weight.shape).toEqual([into, out])
        const [left, right] = [randomTensor([into, 2]), randomTensor([2, out])]
        const loss = [{ kind: 'nll', at: golden.gradients[0]?.nll ?? [] }] as const
        const tokens = batchOf(golden.gradientRows)
        const trained = await model.run({
          tokens,
          loss,
          lowRank: { [name]: { left, right } },
          gradientOf: [`left ${name}`, `right ${name}`],
        })

        const sum = tensor(
          multiply(left, right).data.map((value, i) => value + (weight.data[i] ?? 0)),
          weight.shape,
        )
        const whole = await model.run({ tokens, loss, weights: { [name]: sum }, gradientOf: [name] })
        const gradient = whole.gradients[name] ?? sum // [in, out]
        expectClose(trained.lossTerms, whole.lossTerms, { relative: 1e-4 }, 'loss')
        const { [`left ${name}`]: ofLeft, [`right ${name}`]: ofRight } = trained.gradients
        expectClose(ofLeft?.data, multiply(gradient, transposed(right)).data, F32_GRADIENT, 'left')
        expectClose(ofRight?.data, multiply(transposed(left), gradient).data, F32_GRADIENT, 'right')
        const patched = model.withPatch({ parts: [{ kind: 'low-rank', weight: name, left, right }], report: {} })
        expectClose((await patched.run({ tokens, loss })).lossTerms, whole.lossTerms, { relative: 1e-4 }, 'patch')
      },
    )

    test.each(UNIT_ACTIVATIONS.map((activation, i) => [activation, i] as const))(
      'units with %s beside a feed-forward add what they give: in a patch, in a request, resumed, and in gradients',
      async (activation, place) => {
        const layer = place % model.config.layers
        const { width } = model.config
        const [input, output] = [randomTensor([width, 3], 0.2), randomTensor([3, width], 2)]
        const units = { activation, input, biases: tensor(randomTensor([1, 3]).data, [3]), output }
        const patched = model.withPatch({
          parts: [{ kind: 'neurons', layer, ...units }],
          report: {},
        })

        const tokens = batchOf(golden.gradientRows)
        const site: Site = `mlp-output.${layer}`
        const ends = golden.gradientRows.map(({ prompt }) => (layer < model.config.encoderLayers ? prompt : undefined))
        const at = golden.gradientRows.flatMap(({ ids, prompt = 1 }, row) =>
          Array.from({ length: ends[row] ?? ids.length }, (_, token) => ({ row, token })).filter(
            ({ token }) =>
              layer < model.config.encoderLayers || model.config.encoderLayers === 0 || token >= prompt - 1,
          ),
        )
        const { reads } = await model.run({ tokens, read: [{ site: `mlp-input.${layer}`, at }] })
        const x = reads[0] ?? input // [N, D]
        const active = apply(activation, multiply(x, input), units.biases) // [N, n]
        const value = multiply(active.value, output) // [N, D]
        const loss = [{ kind: 'nll', at: golden.gradients[0]?.nll ?? [] }] as const
        const write = { site, mode: 'add', value, at: at.map((position, index) => ({ ...position, index })) } as const
        const byHand = await model.run({ tokens, loss, write: [write], gradientOf: [site] })
        const plain = await model.run({ tokens, loss })
        expect(Math.abs((plain.loss ?? 0) - (byHand.loss ?? 0))).toBeGreaterThan(1e-4)

        const upstream = byHand.gradients[site] ?? value // [N, D]
        const slopes = hadamard(multiply(upstream, transposed(output)), active.slope) // [N, n]
        const expected = {
          [`unit-input ${layer}`]: multiply(transposed(x), slopes),
          [`unit-biases ${layer}`]: multiply(tensor(new Float32Array(at.length).fill(1), [1, at.length]), slopes),
          [`unit-output ${layer}`]: multiply(transposed(active.value), upstream),
        }
        const { capture } = await model.run({ tokens, capture: { layer } })
        const resume = capture ? { resume: capture } : {}
        const request = { tokens, loss, neurons: { [layer]: units }, gradientOf: Object.keys(expected) }
        for (const trained of [await model.run(request), await model.run({ ...request, ...resume })]) {
          expectClose(trained.lossTerms, byHand.lossTerms, { relative: 1e-4 }, 'in a request')
          for (const [name, { data }] of Object.entries(expected)) {
            expectClose(trained.gradients[name]?.data, data, F32_GRADIENT, name)
          }
        }
        for (const found of [await patched.run({ tokens, loss }), await patched.run({ tokens, loss, ...resume })]) {
          expectClose(found.lossTerms, byHand.lossTerms, { relative: 1e-4 }, 'in a patch')
        }
        const from = golden.gradientRows.map(() => 1)
        const nll = loss[0].at.filter(({ token }) => token >= 1)
        const later = await model.run({ tokens, capture: { layer, from } })
        if (later.capture === undefined || model.config.encoderLayers > 0) return
        // From the second position on: the first has answered without the units, and is attended to as it was.
        const own = { ...write, at: write.at.filter(({ token }) => token >= 1) }
        const cut = await model.run({ tokens, loss: [{ kind: 'nll', at: nll }], write: [own] })
        const resumed = await patched.run({ tokens, loss: [{ kind: 'nll', at: nll }], resume: later.capture })
        expectClose(resumed.lossTerms, cut.lossTerms, { relative: 1e-4 }, 'from the second position on')
      },
    )

    test('writes on greedily as PyTorch does, alone and in a batch of unequal rows', async () => {
      const prompts = golden.generations.map(({ prompt }) => prompt)
      const maxNewTokens = Math.max(...golden.generations.map(({ ids }) => ids.length))
      const together = await model.generate(prompts, { maxNewTokens })
      for (const [i, { ids }] of golden.generations.entries()) {
        expect(together[i]?.ids).toEqual(ids)
        const alone = await model.generate([prompts[i] ?? ''], { maxNewTokens })
        expect(alone[0]?.ids).toEqual(ids)
      }
    })
  })
}

function batchOf(rows: readonly Row[]): TokenBatch {
  const promptLengths = rows.map(({ ids, prompt = ids.length }) => prompt)
  return { rows: rows.map(({ ids }) => Int32Array.from(ids)), promptLengths }
}

function fromGolden({ shape, data }: { shape: number[]; data: number[] }) {
  return tensor(Float32Array.from(data), shape)
}

function randomTensor(shape: readonly [number, number], scale = 0.1): Tensor {
  const random = createRandom(`factor ${shape}`)
  return tensor(
    Float32Array.from({ length: shape[0] * shape[1] }, () => scale * random.normal()),
    shape,
  )
}

function multiply(a: Tensor, b: Tensor): Tensor {
  const [rows = 0, inner = 0] = a.shape
  const [, columns = 0] = b.shape
  const data = Float32Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns]
    let total = 0
    for (let i = 0; i < inner; i++) total += (a.data[row * inner + i] ?? 0) * (b.data[i * columns + column] ?? 0)
    return total
  })
  return tensor(data, [rows, columns])
}

/** Activations and their slopes, after PyTorch's documentation. */
const FORMULAS: Readonly<Record<UnitActivation, (x: number) => number>> = {
  relu: (x) => Math.max(x, 0),
  gelu: (x) => 0.5 * x * (1 + errorFunction(x / Math.SQRT2)),
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x / (1 + Math.exp(-x)),
}

/** By its series, which converges fast for the small numbers here. */
function errorFunction(x: number): number {
  let [term, sum] = [x, x]
  for (let n = 1; n < 60; n++) {
    term *= -(x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

/** `act(z + b)` and `act′(z + b)`, slopes by central differences. */
function apply(activation: UnitActivation, z: Tensor, biases: Tensor): { value: Tensor; slope: Tensor } {
  const act = FORMULAS[activation]
  const step = 1e-5
  const at = z.data.map((number, i) => number + (biases.data[i % biases.data.length] ?? 0))
  return {
    value: tensor(at.map(act), z.shape),
    slope: tensor(
      at.map((x) => (act(x + step) - act(x - step)) / (2 * step)),
      z.shape,
    ),
  }
}

function hadamard(a: Tensor, b: Tensor): Tensor {
  return tensor(
    a.data.map((value, i) => value * (b.data[i] ?? 0)),
    a.shape,
  )
}

function transposed({ shape: [rows = 0, columns = 0], data }: Tensor): Tensor {
  return tensor(
    data.map((_, at) => data[(at % rows) * columns + Math.floor(at / rows)] ?? 0),
    [columns, rows],
  )
}
