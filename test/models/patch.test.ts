import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { CodebookPart, NeuronsPart, Patch, PatchPart } from '../../src/models/patch.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../support/close.ts'
import { openTinyModel } from '../support/tiny-model.ts'

const F32_FORWARD = { absolute: 1e-4 }
const PROMPTS = ['The capital of France is', 'Rome is in', 'People in Japan speak']
const LAYER = 1

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const patchOf = (...parts: PatchPart[]): Patch => ({ parts, report: {} })

function randomTensor(shape: number[], scale = 0.1): Tensor {
  const random = createRandom(`patch ${shape}`)
  const size = shape.reduce((product, dim) => product * dim, 1)
  return tensor(
    Float32Array.from({ length: size }, () => scale * random.normal()),
    shape,
  )
}

async function logits(of: LanguageModel, prompts = PROMPTS): Promise<Float32Array> {
  const rows = await Promise.all(prompts.map(async (prompt) => (await of.tokenizer.encode(prompt)).ids))
  const at = rows.map((row, i) => ({ row: i, token: row.length - 1 }))
  const { reads } = await of.run({ tokens: { rows }, read: [{ site: 'logits', at }] })
  return reads[0]?.data ?? new Float32Array()
}

function distance(a: Float32Array, b: Float32Array): number {
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.NaN))))
}

describe('weight patches', () => {
  const left = randomTensor([64, 2])
  const right = randomTensor([2, 32])
  const product = tensor(
    Float32Array.from({ length: 64 * 32 }, (_, i) => {
      const [row, column] = [Math.floor(i / 32), i % 32]
      return [0, 1].reduce((sum, r) => sum + (left.data[row * 2 + r] ?? 0) * (right.data[r * 32 + column] ?? 0), 0)
    }),
    [64, 32],
  )

  test('a low-rank delta, the same delta as a matrix, and the weight fed by hand are one model', async () => {
    const weight = model.weightName('mlp-down', LAYER)
    const lowRank = model.withPatch(patchOf({ kind: 'low-rank', weight, left, right }))
    const dense = model.withPatch(patchOf({ kind: 'dense', weight, delta: product }))
    const expected = await logits(lowRank)
    expect(distance(expected, await logits(model))).toBeGreaterThan(0.01)
    expectClose(await logits(dense), expected, F32_FORWARD)
    expectClose((await dense.weight(weight)).data, (await lowRank.weight(weight)).data, F32_FORWARD)
    const written = await Promise.all([lowRank, dense].map((one) => one.generate(PROMPTS, { maxNewTokens: 8 })))
    expect(written[0]).toEqual(written[1])
  })

  test('deltas of several patches add up, whatever their kind, and the unedited model stays as it was', async () => {
    const weight = model.weightName('mlp-down', LAYER)
    const before = await logits(model)
    const twice = model
      .withPatch(patchOf({ kind: 'low-rank', weight, left, right }))
      .withPatch(patchOf({ kind: 'low-rank', weight, left: tensor(left.data.slice(), [64, 2]), right }))
    const doubled = tensor(
      product.data.map((value) => 2 * value),
      product.shape,
    )
    expectClose(
      await logits(twice),
      await logits(model.withPatch(patchOf({ kind: 'dense', weight, delta: doubled }))),
      F32_FORWARD,
    )
    const mixed = model
      .withPatch(patchOf({ kind: 'dense', weight, delta: product }))
      .withPatch(patchOf({ kind: 'low-rank', weight, left, right }))
    expectClose((await mixed.weight(weight)).data, (await twice.weight(weight)).data, F32_FORWARD)
    expectClose(await logits(mixed), await logits(twice), F32_FORWARD)
    expect(await logits(model)).toEqual(before)
  })

  test('a model is known by its patches', () => {
    const weight = model.weightName('mlp-down', LAYER)
    const one = model.withPatch(patchOf({ kind: 'low-rank', weight, left, right }))
    const same = model.withPatch(patchOf({ kind: 'low-rank', weight, left, right }))
    const other = model.withPatch(patchOf({ kind: 'low-rank', weight, left: right, right: left }))
    expect(one.id).toBe(same.id)
    expect(new Set([model.id, one.id, other.id]).size).toBe(3)
  })

  test('refuses a delta of another shape', async () => {
    const weight = model.weightName('mlp-down', LAYER)
    const wrong = model.withPatch(patchOf({ kind: 'dense', weight, delta: randomTensor([32, 64]) }))
    await expect(logits(wrong)).rejects.toThrow(/E_SHAPE|expected a delta \[64, 32\], found \[32, 64\]/)
  })
})

describe('codebook', () => {
  const [edited = ''] = PROMPTS

  async function keyOf(prompt: string): Promise<Tensor> {
    const { ids } = await model.tokenizer.encode(prompt)
    const { reads } = await model.run({
      tokens: { rows: [ids] },
      read: [{ site: `mlp-inner.${LAYER}`, at: [{ row: 0, token: ids.length - 1 }] }],
    })
    return reads[0] ?? tensor(new Float32Array(64), [1, 64])
  }

  async function codebook(radius: number): Promise<CodebookPart> {
    const key = await keyOf(edited)
    const far = tensor(
      key.data.map((value) => value + 10),
      [1, 64],
    )
    return {
      kind: 'codebook',
      layer: LAYER,
      keys: tensor(Float32Array.from([...far.data, ...key.data]), [2, 64]),
      values: tensor(Float32Array.from([...new Float32Array(32), ...randomTensor([1, 32], 1).data]), [2, 32]),
      radii: tensor(Float32Array.of(1e-3, radius), [2]),
      labels: [[1], [2]],
    }
  }

  test('answers within its radius with the stored value, and is silent elsewhere to the bit', async () => {
    const patched = model.withPatch(patchOf(await codebook(1e-3)))
    const [before, after] = [await logits(model), await logits(patched)]
    const vocabulary = model.config.vocabulary
    expect(distance(after.slice(0, vocabulary), before.slice(0, vocabulary))).toBeGreaterThan(0.01)
    expect(after.slice(vocabulary)).toEqual(before.slice(vocabulary))

    const { ids } = await model.tokenizer.encode(edited)
    const { reads } = await model.run({
      tokens: { rows: [ids] },
      read: [{ site: 'logits', at: [{ row: 0, token: ids.length - 1 }] }],
      write: [
        {
          site: `mlp-output.${LAYER}`,
          mode: 'replace',
          value: randomTensor([1, 32], 1),
          at: [{ row: 0, token: ids.length - 1 }],
        },
      ],
    })
    expectClose(after.slice(0, vocabulary), reads[0]?.data ?? [], F32_FORWARD)
  })

  test('reaches as far as its radius', async () => {
    const prompts = ['The capital of France is', 'The capital of Italy is']
    const [a, b] = await Promise.all(prompts.map(keyOf))
    const apart = Math.hypot(...(a?.data ?? []).map((value, i) => value - (b?.data[i] ?? 0)))
    const before = await logits(model, prompts)
    const other = model.config.vocabulary
    const within = await logits(model.withPatch(patchOf(await codebook(apart * 1.01))), prompts)
    const beyond = await logits(model.withPatch(patchOf(await codebook(apart * 0.99))), prompts)
    expect(distance(within.slice(other), before.slice(other))).toBeGreaterThan(0.01)
    expect(beyond.slice(other)).toEqual(before.slice(other))
  })

  test("holds at the prompt's end while a target is teacher-forced, and in generation", async () => {
    const patched = model.withPatch(patchOf(await codebook(1e-3)))
    const [generated] = await patched.generate([edited], { maxNewTokens: 6 })
    const target = generated?.text ?? ''
    const ids = generated?.ids ?? []
    const [score] = await patched.score([{ prompt: edited, target: target.startsWith(' ') ? target : ` ${target}` }])
    const { ids: promptIds } = await model.tokenizer.encode(edited)
    const rows = [Int32Array.from([...promptIds, ...ids])]
    const at = ids.map((_, j) => ({ row: 0, token: promptIds.length - 1 + j }))
    const { reads } = await patched.run({
      tokens: { rows, promptLengths: [promptIds.length] },
      read: [{ site: 'logits', at, as: 'argmax' }],
    })
    expect([...(reads[0]?.data ?? [])]).toEqual([...ids])
    expect(score?.logProbs.length).toBeGreaterThan(0)
    const [unedited] = await model.generate([edited], { maxNewTokens: 6 })
    expect(ids).not.toEqual(unedited?.ids)
  })

  test('a later codebook takes the place of an earlier one; an empty one is none', async () => {
    const empty: CodebookPart = {
      kind: 'codebook',
      layer: LAYER,
      keys: tensor(new Float32Array(0), [0, 64]),
      values: tensor(new Float32Array(0), [0, 32]),
      radii: tensor(new Float32Array(0), [0]),
      labels: [],
    }
    const patched = model.withPatch(patchOf(await codebook(1e-3))).withPatch(patchOf(empty))
    expect(await logits(patched)).toEqual(await logits(model))
  })
})

describe('units beside a feed-forward', () => {
  const width = 32
  const unitsOf = (count: number, activation: NeuronsPart['activation'], layer = LAYER): NeuronsPart => ({
    kind: 'neurons',
    layer,
    activation,
    input: randomTensor([width, count], 0.3),
    biases: tensor(randomTensor([1, count]).data, [count]),
    output: randomTensor([count, width], 2),
  })
  /** Units `from` to `to` of a part. */
  const some = ({ input, biases, output, ...rest }: NeuronsPart, from: number, to: number): NeuronsPart => {
    const count = biases.data.length
    const kept = to - from
    return {
      ...rest,
      input: tensor(
        input.data.filter((_, i) => i % count >= from && i % count < to),
        [width, kept],
      ),
      biases: tensor(biases.data.slice(from, to), [kept]),
      output: tensor(output.data.slice(from * width, to * width), [kept, width]),
    }
  }

  test('units of several patches are as if they were of one, and dropping a patch leaves no trace', async () => {
    const all = unitsOf(5, 'gelu')
    const before = await logits(model)
    const whole = model.withPatch(patchOf(all))
    const parts = model.withPatch(patchOf(some(all, 0, 2))).withPatch(patchOf(some(all, 2, 5), some(all, 0, 0)))
    const expected = await logits(whole)
    expect(distance(expected, before)).toBeGreaterThan(0.01)
    expectClose(await logits(parts), expected, F32_FORWARD)
    expect(parts.id).not.toBe(whole.id)
    expect(await logits(model)).toEqual(before)
    expect(await logits(model.withPatch(patchOf(some(all, 0, 0))))).toEqual(before)
  })

  test('units of two activations add up at one layer', async () => {
    const [one, other] = [unitsOf(2, 'relu'), unitsOf(3, 'silu')]
    const rows = await Promise.all(PROMPTS.map(async (prompt) => (await model.tokenizer.encode(prompt)).ids))
    const outputOf = async (of: LanguageModel) =>
      (await of.run({ tokens: { rows }, read: [{ site: `mlp-output.${LAYER}`, at: 'all' }] })).reads[0]?.data ??
      new Float32Array()
    const [plain, first, second, both] = [
      await outputOf(model),
      await outputOf(model.withPatch(patchOf(one))),
      await outputOf(model.withPatch(patchOf(other))),
      await outputOf(model.withPatch(patchOf(one, other))),
    ]
    const sum = plain.map((value, i) => (first[i] ?? 0) + (second[i] ?? 0) - value)
    expectClose(both, sum, F32_FORWARD)
  })

  test('hold in generation as where a target is teacher-forced, beside a changed weight', async () => {
    const weight = model.weightName('mlp-down', LAYER)
    const lowRank = { kind: 'low-rank', weight, left: randomTensor([64, 2]), right: randomTensor([2, width]) } as const
    const patched = model.withPatch(patchOf(unitsOf(3, 'gelu'), lowRank, unitsOf(2, 'relu', 3)))
    const written = await patched.generate(PROMPTS, { maxNewTokens: 6 })
    expect(written).not.toEqual(await model.generate(PROMPTS, { maxNewTokens: 6 }))
    for (const [i, prompt] of PROMPTS.entries()) {
      const { ids } = await model.tokenizer.encode(prompt)
      const answer = written[i]?.ids ?? []
      const led = await patched.run({
        tokens: { rows: [Int32Array.of(...ids, ...answer)] },
        read: [{ site: 'logits', at: answer.map((_, j) => ({ row: 0, token: ids.length - 1 + j })), as: 'argmax' }],
      })
      expect([...(led.reads[0]?.data ?? [])]).toEqual(answer)
    }
  })

  test('hear what is written to the input of their feed-forward', async () => {
    const units = unitsOf(2, 'relu')
    const tokens = { rows: [Int32Array.of(5, 6, 7)] }
    const at = [{ row: 0, token: 2 }]
    const write = [{ site: `mlp-input.${LAYER}`, mode: 'replace', value: randomTensor([1, width], 1), at }] as const
    const read = [{ site: `mlp-output.${LAYER}`, at }] as const
    const [plain, patched] = [
      await model.run({ tokens, write, read }),
      await model.withPatch(patchOf(units)).run({ tokens, write, read }),
    ]
    const x = write[0].value.data
    const expected = (plain.reads[0]?.data ?? new Float32Array()).map((value, column) => {
      const answers = [0, 1].map((unit) => {
        const z = x.reduce(
          (sum, xi, i) => sum + xi * (units.input.data[i * 2 + unit] ?? 0),
          units.biases.data[unit] ?? 0,
        )
        return Math.max(z, 0) * (units.output.data[unit * width + column] ?? 0)
      })
      return value + answers.reduce((sum, answer) => sum + answer, 0)
    })
    expectClose(patched.reads[0]?.data, expected, F32_FORWARD)
  })

  test('refuses units of another width', async () => {
    const wrong = { ...unitsOf(2, 'relu'), input: randomTensor([16, 2]) }
    await expect(logits(model.withPatch(patchOf(wrong)))).rejects.toMatchObject({ code: 'E_SHAPE' })
  })
})

describe('bad requests', () => {
  test.each([
    ['a layer beyond the last', { read: [{ site: 'mlp-output.4', at: 'all' }] }, 'E_SITE'],
    ['a position beyond a row', { read: [{ site: 'mlp-output.1', at: [{ row: 0, token: 3 }] }] }, 'E_POSITION'],
    ['a row that is not there', { read: [{ site: 'logits', at: [{ row: 1, token: 0 }] }] }, 'E_POSITION'],
  ] as const)('%s is refused', async (_, request, code) => {
    const tokens = { rows: [Int32Array.of(1, 2, 3)] }
    await expect(model.run({ tokens, ...request })).rejects.toMatchObject({ code })
  })

  test('a text longer than the model can attend to is refused', async () => {
    const rows = [new Int32Array(model.config.contextLength + 1)]
    await expect(model.run({ tokens: { rows } })).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH' })
    const long = 'word '.repeat(600)
    await expect(model.generate([long], { maxNewTokens: 1 })).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH' })
  })

  test('a weight that is not there is refused by name', async () => {
    await expect(model.weight('model.layers.9.mlp.down_proj.weight')).rejects.toMatchObject({ code: 'E_WEIGHT' })
    expect(() => model.weightName('mlp-down', 4)).toThrow(/E_SITE|layers 0 to 3/)
    expect(() => model.weightShape('no.such.weight')).toThrow(/E_WEIGHT|no.such.weight/)
  })

  test('numbers that are not finite do not pass', async () => {
    const weight = model.weightName('mlp-down', LAYER)
    const broken = tensor(new Float32Array(64 * 32).fill(Number.NaN), [64, 32])
    const at = [{ row: 0, token: 1 }]
    const run = model.run({
      tokens: { rows: [Int32Array.of(1, 2)] },
      read: [{ site: 'logits', at }],
      weights: { [weight]: broken },
    })
    await expect(run).rejects.toMatchObject({ code: 'E_NOT_FINITE' })
  })
})

test('samples among the likeliest with the numbers given, the same ones each time', async () => {
  const sample = (seed: number) => {
    const random = createRandom(seed)
    return model.generate(PROMPTS, { maxNewTokens: 10, topK: 5, uniform: () => random.uniform() })
  }
  expect(await sample(1)).toEqual(await sample(1))
  expect(await sample(1)).not.toEqual(await sample(2))
  const lowest = await model.generate(PROMPTS, { maxNewTokens: 10, topK: 5, uniform: () => 0 })
  expect(lowest).toEqual(await model.generate(PROMPTS, { maxNewTokens: 10 }))
})

test('stops a row at a mark, the others go on', async () => {
  const all = await model.generate(PROMPTS, { maxNewTokens: 10 })
  const mark = await model.tokenizer.decode([all[0]?.ids[2] ?? 0])
  const stopped = await model.generate(PROMPTS, { maxNewTokens: 10, stop: [mark] })
  expect(stopped[0]?.ids.length).toBeLessThanOrEqual(3)
  expect(Math.max(...stopped.map(({ ids }) => ids.length))).toBeGreaterThan(3)
})

test('stops a row at a mark of several tokens, where the last of them completes it', async () => {
  const prompts = PROMPTS.slice(0, 1)
  const [all] = await model.generate(prompts, { maxNewTokens: 10 })
  const mark = await model.tokenizer.decode(all?.ids.slice(2, 5) ?? [])
  const [stopped] = await model.generate(prompts, { maxNewTokens: 10, stop: ['never written', mark] })
  expect(stopped?.ids).toEqual(all?.ids.slice(0, 5))
})
