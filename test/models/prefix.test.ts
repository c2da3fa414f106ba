import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type OpenModel, openNetwork } from '../../src/models/index.ts'
import { findModel } from '../../src/models/locate.ts'
import { mergePatches } from '../../src/models/merged-patch.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { PatchPart } from '../../src/models/patch.ts'
import { keepPrefix } from '../../src/models/prefix.ts'
import { Sessions } from '../../src/models/sessions.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../support/close.ts'
import { GOLDEN } from '../support/model-files.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

const F32_FORWARD = { absolute: 1e-4 }
// Longer than a prefix must be, and than any window; short enough for 128 positions.
const CONTEXT = 'People in Japan speak Japanese. The capital of France is Paris. '.repeat(3)
const ENDS = ['Rome is in', 'The capital of Italy is the city of', 'Japan', 'People in Spain speak']
const PROMPTS = ENDS.map((end) => CONTEXT + end)
const LAYER = 1

/**
 * Attention that the runtime fuses and that it does not, positions that turn or are learned, windows with one rotary embedding
 * and with two; an encoder, whose tokens depend on all others, has no prefix.
 */
const NAMES = [
  ...(['tiny-llama', 'tiny-llama-untied', 'tiny-qwen2', 'tiny-gpt2', 'tiny-opt'] as const),
  ...(['tiny-mistral', 'tiny-gemma2', 'tiny-gemma3', 'tiny-t5'] as const),
]

describe.each(NAMES)('%s', (name) => {
  let model: OpenModel
  beforeAll(async () => {
    model = await openTinyModel(name)
  })
  afterAll(() => model.close())

  const random = createRandom('prefix')
  const numbers = (shape: number[], scale = 0.1): Tensor =>
    tensor(
      Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => scale * random.normal()),
      shape,
    )

  async function patched(kind: string): Promise<LanguageModel> {
    const { width, mlpWidth } = model.config
    const weight = model.weightName('mlp-down', LAYER)
    const part = async (): Promise<PatchPart | null> => {
      if (kind === 'dense') return { kind, weight, delta: numbers([mlpWidth, width]) }
      if (kind === 'low-rank') return { kind, weight, left: numbers([mlpWidth, 2]), right: numbers([2, width]) }
      if (kind === 'neurons') {
        const [input, output] = [numbers([width, 2]), numbers([2, width], 2)]
        return { kind, layer: LAYER, activation: 'gelu', input, biases: numbers([2]), output }
      }
      if (kind === 'side-memories') {
        // Answers some of the prompts.
        const thresholds = tensor(Float32Array.of(name === 'tiny-t5' ? 0 : 2.5), [1])
        return { kind, layer: LAYER, deltas: numbers([1, mlpWidth, width]), thresholds }
      }
      if (kind !== 'codebook') return null
      // Fires at the end of one prompt.
      const { ids } = await model.tokenizer.encode(PROMPTS[1] ?? '')
      const at = [{ row: 0, token: ids.length - 1 }]
      const { reads } = await model.run({ tokens: { rows: [ids] }, read: [{ site: `mlp-inner.${LAYER}`, at }] })
      const keys = reads[0] ?? numbers([1, mlpWidth])
      return {
        kind,
        layer: LAYER,
        keys,
        values: numbers([1, width], 2),
        radii: tensor(Float32Array.of(0.1), [1]),
        labels: [[1]],
      }
    }
    const made = await part()
    return made === null ? model : model.withPatch({ parts: [made], report: {} })
  }

  test.each(['none', 'dense', 'low-rank', 'neurons', 'codebook', 'side-memories'])(
    'prompts with a long beginning in common are answered as if each were alone, patch: %s',
    async (kind) => {
      const edited = await patched(kind)
      const queries = PROMPTS.map((prompt) => ({ prompt, target: 'Paris and Rome' }))
      const scored = await edited.score(queries)
      const written = await edited.generate(PROMPTS, { maxNewTokens: 8 })
      for (const [i, query] of queries.entries()) {
        const [alone] = await edited.score([query])
        expectClose(scored[i]?.logProbs, alone?.logProbs ?? [], F32_FORWARD)
        expect(scored[i]?.argmax).toEqual(alone?.argmax)
        expect(await edited.generate([query.prompt], { maxNewTokens: 8 })).toEqual([written[i]])
      }
      const plain = await model.score(queries)
      if (kind === 'none') expect(scored).toEqual(plain)
      else expect(scored[1]?.logProbs).not.toEqual(plain[1]?.logProbs)
    },
  )

  test('a prompt that is the beginning of the others is answered too', async () => {
    const prompts = [CONTEXT, ...PROMPTS]
    const written = await model.generate(prompts, { maxNewTokens: 4 })
    expect(await model.generate([CONTEXT], { maxNewTokens: 4 })).toEqual([written[0]])
  })
})

test('of growing texts is kept for as long as all begin with it', async () => {
  const files = await findModel(join(GOLDEN, 'tiny-llama'), testContext(), { hubCache: '' })
  const sessions = new Sessions({})
  const prefixOf = keepPrefix({ ...openNetwork(files.config, files.weights), sessions })
  const edits = { patch: mergePatches([]), dense: {} }
  const text = Int32Array.from({ length: 80 }, (_, i) => 5 + (i % 50))
  const kept = await prefixOf(edits, [text])
  expect(kept?.length).toBe(79)
  expect(await prefixOf(edits, [Int32Array.of(...text, 7), text])).toBe(kept)
  const other = Int32Array.from(text, (id, i) => (i === 3 ? 9 : id))
  expect(await prefixOf(edits, [text, other])).toBeNull()
  expect((await prefixOf(edits, [other]))?.feeds).not.toEqual(kept?.feeds)
  expect((await prefixOf(edits, [other.subarray(0, 79)]))?.length).toBe(78)
  await sessions.close()
})
