import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chooseBlock, dropUnusedBlocks } from '../../src/models/adapter-clusters.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { AdapterCluster, AdapterClustersPart, LowRankPart, Patch } from '../../src/models/patch.ts'
import { forgetFact } from '../../src/models/retrieval.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../support/close.ts'
import { openTinyModel, type TinyModel } from '../support/tiny-model.ts'

/** Rows asked beside others or alone: the order of float32 sums. */
const F32_FORWARD = { absolute: 1e-5 }

const FRANCE = 'The capital of France is'
const JAPAN = 'People in Japan speak'
const UNRELATED = 'Oslo'
const PROMPTS = [UNRELATED, FRANCE, JAPAN]

const vector = (...values: number[]) => tensor(Float32Array.from(values), [values.length])
const patchOf = (part: AdapterClustersPart): Patch => ({ parts: [part], report: {} })

describe('of a key', () => {
  const clusters: AdapterCluster[] = [
    {
      centre: vector(0, 0),
      radius: 2,
      label: [1],
      points: [
        { prompt: 'a', key: vector(-2, 0), block: 5 },
        { prompt: 'b', key: vector(2, 0), block: 6 },
      ],
    },
    { centre: vector(5, 0), radius: 1, label: [2], points: [{ prompt: 'c', key: vector(5, 0), block: 7 }] },
  ]
  test.each([
    ["the nearest point of its cluster decides, though another cluster's is nearer", [2.4, 0], null],
    ['the radius itself belongs to it', [2, 0], 6],
    ['the other side of the centre has the other block', [-0.1, 0], 5],
    ['the first counts among equals', [0, 1], 5],
    ['outside all radii there is none', [0, 2.01], null],
    ['the nearest cluster alone decides, not one whose radius would reach', [2.6, 0], null],
    ['another cluster has another block', [4.5, 0.5], 7],
  ])('%s', (_, key, block) => {
    expect(chooseBlock(clusters, vector(...key))).toBe(block)
  })
  test('no clusters have no block', () => {
    expect(chooseBlock([], vector(1, 2))).toBeNull()
  })
  test('blocks that no point names are left out, the others keep their points', () => {
    const adapter = (weight: string): LowRankPart => ({
      kind: 'low-rank',
      weight,
      left: tensor(new Float32Array(1), [1, 1]),
      right: tensor(new Float32Array(1), [1, 1]),
    })
    const blocks = Array.from('0123456789', (name) => [adapter(name)])
    const left = dropUnusedBlocks({ kind: 'adapter-clusters', layer: 0, clusters, blocks })
    expect(left.blocks).toEqual([[adapter('5')], [adapter('6')], [adapter('7')]])
    expect(left.clusters.map(({ points }) => points.map(({ block }) => block))).toEqual([[0, 1], [2]])
  })
})

// In a decoder, in an encoder, and in the decoder behind one.
describe.each<[TinyModel, number]>([
  ['tiny-llama', 1],
  ['tiny-gpt2', 2],
  ['tiny-t5', 1],
  ['tiny-t5', 3],
])('%s with clusters at layer %i', (name, layer) => {
  let model: OpenModel
  beforeAll(async () => {
    model = await openTinyModel(name)
  })
  afterAll(() => model.close())

  /** What a model says of prompts, in both ways of asking. */
  const ask = async (asked: LanguageModel, prompts: readonly string[]) => ({
    scored: await asked.score(prompts.map((prompt) => ({ prompt, target: 'Spain' }))),
    written: await asked.generate(prompts, { maxNewTokens: 4 }),
  })
  const adapter = (mark: number): LowRankPart => {
    const weight = model.weightName('mlp-up', model.config.layers - 1)
    const [rows, columns] = model.weightShape(weight)
    const fill = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(mark + i))
    return { kind: 'low-rank', weight, left: tensor(fill(rows), [rows, 1]), right: tensor(fill(columns), [1, columns]) }
  }
  const keyOf = async (prompt: string, asked: LanguageModel) => {
    const { ids } = await model.tokenizer.encode(prompt)
    const read = [{ site: `mlp-output.${layer}`, at: [{ row: 0, token: ids.length - 1 }] }] as const
    const { reads } = await asked.run({ tokens: { rows: [ids] }, read })
    return vector(...(reads[0]?.data ?? []))
  }
  const clusterOf = async (prompt: string, block: number, asked: LanguageModel): Promise<AdapterCluster> => {
    const key = await keyOf(prompt, asked)
    return { centre: key, radius: 1e-3, label: [block], points: [{ prompt, key, block }] }
  }
  const both = async (asked: LanguageModel = model): Promise<AdapterClustersPart> => ({
    kind: 'adapter-clusters',
    layer,
    clusters: [await clusterOf(FRANCE, 1, asked), await clusterOf(JAPAN, 0, asked)],
    blocks: [[adapter(1)], [adapter(2)]],
  })
  const adaptedBy = (mark: number) => model.withPatch({ parts: [adapter(mark)], report: {} })

  test('asks each prompt of the weights of its block, in one call as alone, in scoring as in writing', async () => {
    const patched = model.withPatch(patchOf(await both()))
    const together = await ask(patched, PROMPTS)
    const models = [model, adaptedBy(2), adaptedBy(1)]
    for (const [i, prompt] of PROMPTS.entries()) {
      const expected = await ask(models[i] ?? model, [prompt])
      expect(await ask(patched, [prompt])).toEqual(expected)
      expectClose(together.scored[i]?.logProbs, expected.scored[0]?.logProbs ?? [], F32_FORWARD, prompt)
      expect(together.written[i]).toEqual(expected.written[0])
    }
    expect(await ask(patched, [FRANCE])).not.toEqual(await ask(model, [FRANCE]))
    expect(await ask(patched, [FRANCE])).not.toEqual(await ask(adaptedBy(1), [FRANCE]))
  })

  test('is the model as it was for prompts outside every radius, and as a whole without the patch', async () => {
    const patched = model.withPatch(patchOf(await both()))
    const others = [UNRELATED, `${FRANCE} not`, 'People']
    expect(await ask(patched, others)).toEqual(await ask(model, others))
    expect(patched.id).not.toBe(model.id)
    expect(await ask(model.withPatch(patchOf({ ...(await both()), clusters: [] })), PROMPTS)).toEqual(
      await ask(model, PROMPTS),
    )
  })

  test('a later part takes the place of an earlier one, and stands on what other patches did', async () => {
    const before = adaptedBy(3)
    const part = await both(before)
    const [first, second] = [0, 1].map((i) => patchOf({ ...part, clusters: part.clusters.slice(i, i + 1) }))
    const stream = [first, second].reduce((edited, patch) => (patch ? edited.withPatch(patch) : edited), before)
    expect(await ask(stream, [FRANCE])).toEqual(await ask(before, [FRANCE]))
    const alone = before.withPatch({ parts: [adapter(1)], report: {} })
    expect(await ask(stream, [JAPAN])).toEqual(await ask(alone, [JAPAN]))
  })

  test('forgets one prompt, its points and the block that was its alone', async () => {
    const part = await both()
    const left = forgetFact(patchOf(part), FRANCE)
    expect(left).toEqual(patchOf({ ...part, clusters: part.clusters.slice(1), blocks: part.blocks.slice(0, 1) }))
    expect(await ask(model.withPatch(left), [FRANCE])).toEqual(await ask(model, [FRANCE]))
    expect(await ask(model.withPatch(left), [JAPAN])).toEqual(await ask(adaptedBy(1), [JAPAN]))
    expect(forgetFact(patchOf(part), 'never told')).toEqual(patchOf(part))
  })

  test('refuses clusters of another model', async () => {
    const [cluster] = (await both()).clusters
    const narrow = { ...(await both()), clusters: cluster ? [{ ...cluster, centre: vector(1, 2) }] : [] }
    await expect(ask(model.withPatch(patchOf(narrow)), [FRANCE])).rejects.toMatchObject({ code: 'E_SHAPE' })
    const high = { ...(await both()), layer: model.config.layers }
    await expect(ask(model.withPatch(patchOf(high)), [FRANCE])).rejects.toMatchObject({ code: 'E_SITE' })
  })
})
