import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { SideMemoriesPart } from '../../src/models/patch.ts'
import { sumBefore } from '../../src/models/side-memories.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../support/close.ts'
import { openTinyModel } from '../support/tiny-model.ts'

const F32_FORWARD = { absolute: 1e-4 }
const F32_GRADIENT = { relative: 1e-3 }
// Of unequal lengths.
const PROMPTS = ['The capital of France is', 'Rome is in', 'People in Japan speak', 'The official language of Kenya is']
const TARGET = 'Paris and Rome'

/** Attention that the runtime fuses and that it does not, learned positions, windows, and an encoder before a decoder. */
const NAMES = ['tiny-llama', 'tiny-qwen2', 'tiny-gpt2', 'tiny-gptj', 'tiny-opt', 'tiny-gemma2', 'tiny-t5'] as const

describe.each(NAMES)('side memories in %s', (name) => {
  let model: OpenModel
  beforeAll(async () => {
    model = await openTinyModel(name)
  })
  afterAll(() => model.close())

  function randomDelta(which = 'one', scale = 0.1): Tensor {
    const random = createRandom(`memory ${which}`)
    const { mlpWidth: rows, width } = model.config
    return tensor(
      Float32Array.from({ length: rows * width }, () => scale * random.normal()),
      [rows, width],
    )
  }

  function patched(layer: number, memories: readonly (readonly [Tensor, number])[], of: LanguageModel = model) {
    const { mlpWidth: rows, width } = model.config
    const deltas = memories.flatMap(([delta]) => [...delta.data])
    const part: SideMemoriesPart = {
      kind: 'side-memories',
      layer,
      deltas: tensor(Float32Array.from(deltas), [memories.length, rows, width]),
      thresholds: tensor(
        Float32Array.from(memories, ([, threshold]) => threshold),
        [memories.length],
      ),
    }
    return of.withPatch({ parts: [part], report: {} })
  }

  function changed(layer: number, delta: Tensor): LanguageModel {
    return model.withPatch({
      parts: [{ kind: 'dense', weight: model.weightName('mlp-down', layer), delta }],
      report: {},
    })
  }

  /** The mean of ‖x·Δ‖ over a prompt, worked by hand. */
  async function activationOf(prompt: string, layer: number, delta: Tensor): Promise<number> {
    const { ids } = await model.tokenizer.encode(prompt)
    const { encoderLayers, mlpWidth, width } = model.config
    const from = layer < encoderLayers ? 0 : encoderLayers === 0 ? 0 : ids.length - 1
    const at = Array.from({ length: ids.length - from }, (_, i) => ({ row: 0, token: from + i }))
    const { reads } = await model.run({ tokens: { rows: [ids] }, read: [{ site: `mlp-inner.${layer}`, at }] })
    const x = reads[0]?.data ?? new Float32Array()
    const lengths = at.map((_, t) => {
      const answer = Array.from({ length: width }, (_, j) => {
        let sum = 0
        for (let i = 0; i < mlpWidth; i++) sum += (x[t * mlpWidth + i] ?? 0) * (delta.data[i * width + j] ?? 0)
        return sum
      })
      return Math.hypot(...answer)
    })
    return lengths.reduce((sum, length) => sum + length, 0) / at.length
  }

  const ask = async (of: LanguageModel, prompts: readonly string[] = PROMPTS) => ({
    scores: await of.score(prompts.map((prompt) => ({ prompt, target: TARGET }))),
    texts: await of.generate(prompts, { maxNewTokens: 6 }),
  })

  test('each row of a batch is answered by the memory or as if there were none, by its prompt alone', async () => {
    for (const layer of [0, model.config.layers - 2]) {
      const delta = randomDelta('one', 0.3)
      const activations = await Promise.all(PROMPTS.map((prompt) => activationOf(prompt, layer, delta)))
      const [, low = 0, high = 0] = activations.toSorted((a, b) => a - b)
      const threshold = (low + high) / 2
      const [found, before, all] = [
        await ask(patched(layer, [[delta, threshold]])),
        await ask(model),
        await ask(changed(layer, delta)),
      ]
      expect(all).not.toEqual(before)
      for (const [i, activation] of activations.entries()) {
        const expected = activation >= threshold ? all : before
        expectClose(found.scores[i]?.logProbs, expected.scores[i]?.logProbs ?? [], F32_FORWARD, `${layer} ${i}`)
        expect(found.texts[i]).toEqual(expected.texts[i])
        // Nothing but zeros was added.
        if (activation < threshold) expect(found.scores[i]).toEqual(before.scores[i])
        expect((await ask(patched(layer, [[delta, threshold]]), PROMPTS.slice(i, i + 1))).texts).toEqual([
          found.texts[i],
        ])
      }
    }
  })

  test('of several memories that are reached, the one with the largest activation answers', async () => {
    const layer = 1
    const [one, other] = [randomDelta('one'), randomDelta('other', 0.15)]
    const never = 1e6
    const expected = await ask(changed(layer, other))
    const agreesWith = (found: Awaited<ReturnType<typeof ask>>, wanted: typeof expected) => {
      for (const [i, { logProbs }] of wanted.scores.entries()) {
        expectClose(found.scores[i]?.logProbs, logProbs, F32_FORWARD)
      }
      expect(found.texts).toEqual(wanted.texts)
    }
    agreesWith(
      await ask(
        patched(layer, [
          [one, 0],
          [other, 0],
          [randomDelta('third', 9), never],
        ]),
      ),
      expected,
    )
    agreesWith(
      await ask(
        patched(layer, [
          [one, 0],
          [other, never],
        ]),
      ),
      await ask(changed(layer, one)),
    )
  })

  test('a later part takes the place of an earlier one; one of no memories is none', async () => {
    const earlier = patched(1, [[randomDelta(), 0]])
    expect(await ask(patched(1, [], earlier))).toEqual(await ask(model))
    const later = [[randomDelta('other'), 0]] as const
    expect(await ask(patched(1, later, earlier))).toEqual(await ask(patched(1, later)))
    expect(earlier.id).not.toBe(model.id)
  })

  test('a gradient goes through the memory that answers', async () => {
    const [layer, delta] = [1, randomDelta()]
    const rows = [Int32Array.of(5, 6, 7, 8), Int32Array.of(9, 4, 7)]
    const at = rows.map((row, i) => ({ row: i, token: row.length - 1, target: 3, weight: 1 }))
    const weight = model.weightName('mlp-down', 0)
    const request = {
      tokens: { rows, promptLengths: [3, 2] },
      loss: [{ kind: 'nll', at }],
      weights: { [weight]: await model.weight(weight) },
      gradientOf: [weight],
    } as const
    const [found, expected] = [
      await patched(layer, [[delta, 0]]).run(request),
      await changed(layer, delta).run(request),
    ]
    expectClose(found.lossTerms, expected.lossTerms, F32_GRADIENT)
    expectClose(found.gradients[weight]?.data, expected.gradients[weight]?.data ?? [], F32_GRADIENT)
    const resumed = await patched(layer, [[delta, 0]]).run({ tokens: request.tokens, capture: { layer: 0 } })
    const again = await patched(layer, [[delta, 0]]).run({
      ...request,
      ...(resumed.capture ? { resume: resumed.capture } : {}),
    })
    expectClose(again.gradients[weight]?.data, expected.gradients[weight]?.data ?? [], F32_GRADIENT)
  })

  test('is refused in another shape', async () => {
    const wrong = model.withPatch({
      parts: [
        {
          kind: 'side-memories',
          layer: 1,
          deltas: tensor(new Float32Array(6), [1, 2, 3]),
          thresholds: tensor(new Float32Array(1), [1]),
        },
      ],
      report: {},
    })
    await expect(wrong.score([{ prompt: 'Rome is in', target: TARGET }])).rejects.toMatchObject({ code: 'E_SHAPE' })
  })
})

describe('a prompt decides as a whole', () => {
  let model: OpenModel
  beforeAll(async () => {
    model = await openTinyModel()
  })
  afterAll(() => model.close())

  const LAYER = 1
  const rows = [Int32Array.of(5, 6, 7, 8, 9, 10), Int32Array.of(11, 12, 13, 14)]
  const promptLengths = [5, 3]

  function memory(threshold: number): LanguageModel {
    const random = createRandom('whole')
    const { mlpWidth, width } = model.config
    const deltas = tensor(
      Float32Array.from({ length: mlpWidth * width }, () => 0.3 * random.normal()),
      [1, mlpWidth, width],
    )
    const part = { kind: 'side-memories', layer: LAYER, deltas, thresholds: tensor(Float32Array.of(threshold), [1]) }
    return model.withPatch({ parts: [part as SideMemoriesPart], report: {} })
  }

  test('also where only its first token is read', async () => {
    const at = rows.map((_, row) => ({ row, token: 0 }))
    const site = `block-output.${LAYER}` as const
    const all = await memory(0).run({ tokens: { rows, promptLengths }, read: [{ site, at: 'all' }] })
    const first = await memory(0).run({ tokens: { rows, promptLengths }, read: [{ site, at }] })
    const { width } = model.config
    expectClose(first.reads[0]?.data.subarray(0, width), all.reads[0]?.data.subarray(0, width) ?? [], F32_FORWARD)
  })

  test('and where work is resumed behind its beginning', async () => {
    const { reads } = await model.run({
      tokens: { rows, promptLengths },
      read: [{ site: `mlp-inner.${LAYER}`, at: 'all' }],
    })
    expect(reads[0]?.shape[0]).toBe(10)
    const tokens = { rows, promptLengths }
    const read = [{ site: 'logits', at: rows.map((row, i) => ({ row: i, token: row.length - 1 })) }] as const
    // Somewhere between, one row is answered and the other not.
    const [never, always] = [await model.run({ tokens, read }), await memory(0).run({ tokens, read })]
    const split = await findSplit(async (threshold) => {
      const { reads } = await memory(threshold).run({ tokens, read })
      const at = model.config.vocabulary
      const [one, other] = [reads[0]?.data.subarray(0, at), reads[0]?.data.subarray(at)]
      const isPlain = (found: Float32Array | undefined, from: number) =>
        found?.every((value, i) => value === never.reads[0]?.data[from + i]) ?? false
      return [isPlain(one, 0), isPlain(other, at)]
    })
    const edited = memory(split)
    const fresh = await edited.run({ tokens, read })
    expect(fresh.reads).not.toEqual(never.reads)
    expect(fresh.reads).not.toEqual(always.reads)
    for (const layer of [0, LAYER]) {
      const { capture } = await edited.run({ tokens, capture: { layer, from: [4, 2] } })
      const resumed = await edited.run({ tokens, read, ...(capture ? { resume: capture } : {}) })
      expectClose(resumed.reads[0]?.data, fresh.reads[0]?.data ?? [], F32_FORWARD, `${layer}`)
    }
  })

  test('its beginning counts for its share, of a prompt of that length', () => {
    const lengths = tensor(Float32Array.of(1, 10, 2, 20, 4, 40, 5, 50, 6, 60, 7, 70), [2, 3, 2])
    expect(sumBefore(lengths, [2, 3], [4, 2]).data).toEqual(Float32Array.of(0.75, 7.5, 5.5, 55))
  })
})

/** A threshold above which exactly one of two rows is as it was. */
async function findSplit(isPlain: (threshold: number) => Promise<readonly boolean[]>): Promise<number> {
  for (let threshold = 0.05; threshold < 100; threshold *= 1.05) {
    const [one, other] = await isPlain(threshold)
    if (one !== other) return threshold
  }
  throw new Error('both rows have one activation')
}
