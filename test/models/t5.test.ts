import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenModel } from '../../src/models/index.ts'
import type { Patch } from '../../src/models/patch.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { describeArchitecture } from '../support/architecture-suite.ts'
import { openTinyModel } from '../support/tiny-model.ts'

for (const name of ['tiny-t5', 'tiny-t5-gated'] as const) describeArchitecture(name)

describe('patches of an encoder-decoder', () => {
  let model: OpenModel
  beforeAll(async () => {
    model = await openTinyModel('tiny-t5')
  })
  afterAll(() => model.close())

  const PROMPTS = ['The capital of France is', 'Peru', 'People in Japan speak']
  const random = createRandom('t5 patches')
  const numbers = (...shape: number[]) =>
    tensor(
      Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random.normal()),
      shape,
    )
  const patchOf = (kind: string, layer: number): Patch => {
    const { width, mlpWidth } = model.config
    const weight = model.weightName('mlp-down', layer)
    if (kind === 'dense') return { parts: [{ kind, weight, delta: numbers(mlpWidth, width) }], report: {} }
    if (kind === 'neurons') {
      const [input, biases, output] = [numbers(width, 2), numbers(2), numbers(2, width)]
      return { parts: [{ kind, layer, activation: 'silu', input, biases, output }], report: {} }
    }
    const [keys, values] = [numbers(1, mlpWidth), numbers(1, width)]
    // So wide that every prompt's end lies within.
    const radii = tensor(Float32Array.of(1e3), [1])
    return { parts: [{ kind: 'codebook', layer, keys, values, radii, labels: [[1]] }], report: {} }
  }

  // Layers 0 and 1 are the encoder's, 2 and 3 the decoder's.
  test.each([
    ['dense', 0],
    ['dense', 3],
    ['neurons', 0],
    ['neurons', 3],
    ['codebook', 1],
    ['codebook', 2],
  ])('a %s patch at layer %i is heard in what it writes as in what it scores', async (kind, layer) => {
    const edited = model.withPatch(patchOf(kind, layer))
    const written = await edited.generate(PROMPTS, { maxNewTokens: 3 })
    for (const [row, prompt] of PROMPTS.entries()) {
      const { ids } = await model.tokenizer.encode(prompt)
      const answer = written[row]?.ids ?? []
      // Led along its own answer, the model would say the same: the codebook knows which tokens are the prompt's.
      const tokens = { rows: [Int32Array.of(...ids, ...answer)], promptLengths: [ids.length] }
      const led = await edited.run({ tokens, read: [{ site: 'logits', at: 'all', as: 'argmax' }] })
      expect([...(led.reads[0]?.data ?? [])].slice(0, answer.length)).toEqual(answer)
      const plain = await model.run({ tokens, read: [{ site: 'logits', at: [{ row: 0, token: ids.length - 1 }] }] })
      const changed = await edited.run({ tokens, read: [{ site: 'logits', at: [{ row: 0, token: ids.length - 1 }] }] })
      expect(changed.reads[0]?.data).not.toEqual(plain.reads[0]?.data)
    }
  })

  test('positions of the prompt are of the encoder, those that predict of the decoder', async () => {
    const tokens = { rows: [Int32Array.of(5, 6, 7, 8)], promptLengths: [3] }
    const at = (token: number) => [{ row: 0, token }]
    const read = (site: 'block-output.1' | 'block-output.2', token: number) =>
      model.run({ tokens, read: [{ site, at: at(token) }] })
    await expect(read('block-output.1', 0)).resolves.toBeDefined()
    await expect(read('block-output.1', 3)).rejects.toMatchObject({ code: 'E_POSITION' })
    await expect(read('block-output.2', 1)).rejects.toMatchObject({ code: 'E_POSITION' })
    await expect(read('block-output.2', 3)).resolves.toBeDefined()
  })
})
