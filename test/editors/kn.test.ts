import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type KnHparams, kn } from '../../src/editors/kn.ts'
import { attributeAnswer } from '../../src/editors/steps/attribution.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LowRankPart, Patch } from '../../src/models/patch.ts'
import { norm } from '../../src/tensor/linalg.ts'
import { expectClose } from '../support/close.ts'
import { describeEditor, MODELS } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, type TinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and gradients: rounding of float32 over four layers. */
const F32_GRADIENT = { relative: 1e-3 }
const F32_FORWARD = { relative: 1e-4 }

interface GoldenEdit {
  fact: Pick<Fact, 'id' | 'subject' | 'prompt' | 'targetNew'> & { targetOld: string }
  attributions: number[][]
  largest: number[]
  probabilities: number[]
  share: number
  neurons: { layer: number; index: number; change: number[] }[]
}

const GOLDEN: { settings: Omit<KnHparams, 'prefixes'>; prefixes: string[]; edits: GoldenEdit[] } = JSON.parse(
  readFileSync(new URL('../golden/kn.json', import.meta.url), 'utf8'),
)
const { prefixes, edits } = GOLDEN
const SETTINGS: KnHparams = { ...GOLDEN.settings, prefixes: prefixes.length - 1 }

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

function factOf({ fact }: GoldenEdit): Fact {
  return { ...makeFact(fact), targetOld: fact.targetOld }
}

function edit(fact: Fact, hparams = SETTINGS, texts: readonly string[] = prefixes): Promise<Patch> {
  return kn.edit({ model, facts: [fact], hparams, prepared: { prefixes: texts }, history: [] }, testContext())
}

/** The rows that a patch changes, by layer and place. */
function changedRows({ parts }: Patch): GoldenEdit['neurons'] {
  return (parts as readonly LowRankPart[]).flatMap(({ weight, left, right }) => {
    const layer = Number(/layers\.(\d+)\./.exec(weight)?.[1])
    return [...left.data.entries()].flatMap(([index, length]) =>
      length === 0 ? [] : [{ layer, index, change: [...right.data.map((value) => length * value)] }],
    )
  })
}

async function tokensOf(fact: Fact) {
  const { ids: prompt } = await model.tokenizer.encode(fact.prompt)
  return { prompt, answer: await model.tokenizer.encodeContinuation(` ${fact.targetOld}`) }
}

describe('against PyTorch', () => {
  test.each(edits)('$fact.id: attributions of every neuron', async (golden) => {
    const job = { model, ...(await tokensOf(factOf(golden))), steps: SETTINGS.steps }
    const { firstLayer, layers, probabilities } = await attributeAnswer(job, testContext())
    expect(firstLayer).toBe(0)
    expect(layers).toHaveLength(golden.attributions.length)
    golden.attributions.forEach((expected, layer) => {
      expectClose(layers[layer], expected, F32_GRADIENT, `layer ${layer}`)
    })
    expect(Math.max(...layers.flatMap((values) => [...values]))).toBeCloseTo(golden.largest[0] ?? Number.NaN, 6)
    expectClose(probabilities, golden.probabilities.slice(0, probabilities.length), F32_FORWARD, 'probabilities')
  })

  test.each(edits)('$fact.id: the neurons that the prompts share, and what their rows become', async (golden) => {
    const patch = await edit(factOf(golden))
    const rows = changedRows(patch)
    expect(rows.map(({ layer, index }) => [layer, index])).toEqual(
      golden.neurons.map(({ layer, index }) => [layer, index]),
    )
    for (const [i, { change }] of golden.neurons.entries()) expectClose(rows[i]?.change, change, F32_FORWARD, 'row')
    expect(patch.report).toMatchObject({ neurons: golden.neurons.length })
    expect(patch.report.share).toBeCloseTo(golden.share, 9)
    const mean = golden.probabilities.reduce((sum, p) => sum + p, 0) / golden.probabilities.length
    expect(patch.report.oldProbability).toBeCloseTo(mean, 6)
  })

  test('one fact keeps p as it is, another lowers it', () => {
    expect(edits.map(({ share }) => share)).toEqual([0.7, 0.5])
  })
})

test("a layer's attributions add up to what its neurons do for the answer", async () => {
  const [golden] = edits
  if (golden === undefined) throw new Error('no golden edit')
  const { prompt, answer } = await tokensOf(factOf(golden))
  const { layers, probabilities } = await attributeAnswer({ model, prompt, answer, steps: 400 }, testContext())
  const without = await Promise.all(
    layers.map(async (values, layer) => {
      const silenced = await Promise.all(
        [...answer.keys()].map(async (j) => {
          const row = Int32Array.of(...prompt, ...answer.subarray(0, j))
          const at = [{ row: 0, token: row.length - 1 }]
          const value = { dtype: 'float32', shape: [1, values.length], data: new Float32Array(values.length) } as const
          const { reads } = await model.run({
            tokens: { rows: [row] },
            write: [{ site: `mlp-inner.${layer}`, mode: 'replace', value, at }],
            read: [{ site: 'logits', at, as: 'log-probs', targets: [answer[j] ?? 0] }],
          })
          return Math.exp(reads[0]?.data[0] ?? Number.NaN)
        }),
      )
      return silenced.reduce((sum, p) => sum + p, 0) / answer.length
    }),
  )
  const whole = probabilities.reduce((sum, p) => sum + p, 0) / answer.length
  const sums = layers.map((values) => values.reduce((sum, value) => sum + value, 0))
  // A sum of 400 points stands for the integral: off by the function's bend over 1/400.
  expectClose(
    sums,
    without.map((p) => whole - p),
    { relative: 0.01 },
    'layers',
  )
})

describe('the answer that is sought', () => {
  test('without one in the data, it is what the model says next', async () => {
    const [golden] = edits
    if (golden === undefined) throw new Error('no golden edit')
    const { targetOld, ...fact } = factOf(golden)
    const { prompt } = await tokensOf(factOf(golden))
    const at = [{ row: 0, token: prompt.length - 1 }]
    const { reads } = await model.run({ tokens: { rows: [prompt] }, read: [{ site: 'logits', at, as: 'argmax' }] })
    const said = reads[0]?.data[0] ?? Number.NaN
    const { parts } = await edit(fact, { ...SETTINGS, enhance: 0 })
    const [part] = parts as readonly LowRankPart[]
    const { data } = await model.tokenVectors([said])
    const length = norm(data)
    expectClose(
      part?.right.data,
      data.map((value) => -value / length),
      F32_FORWARD,
      'what is erased',
    )
  })
})

test('where no prompt shares a neuron, nothing is changed and the record says so', async () => {
  const [golden] = edits
  if (golden === undefined) throw new Error('no golden edit')
  // Only the largest of each prompt, in all of them; p cannot be lowered.
  const patch = await edit(factOf(golden), { ...SETTINGS, threshold: 1, share: 1, fewest: 0 })
  expect(patch).toMatchObject({ parts: [], report: { neurons: 0, coarseNeurons: 1 } })
})

/** Why models with a head of their own need not answer. */
const HEAD_APART =
  'it writes the vectors that tokens are embedded as, of which a head with vectors of its own knows nothing'
const TIED: readonly TinyModel[] = ['tiny-llama', 'tiny-gpt2', 'tiny-qwen2', 'tiny-t5']

describeEditor(kn, { models: TIED })
describeEditor(kn, {
  models: MODELS.filter((model) => !TIED.includes(model)),
  skip: { 'makes the target likelier': HEAD_APART, 'goes on from its history': HEAD_APART },
})
describeMemory(kn, 513)
