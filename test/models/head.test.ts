import { afterAll, beforeAll, expect, test } from 'vitest'
import type { OpenModel } from '../../src/models/index.ts'
import type { RunRequest } from '../../src/models/model.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { openTinyModel } from '../support/tiny-model.ts'

/** Float32 over a vocabulary. */
const F32 = 1e-5
/** Central differences of float32 losses. */
const DIFFERENCES = 2e-2

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const tokens = { rows: [Int32Array.of(5, 6, 7, 8)] }
const at = [
  { row: 0, token: 1, weight: 0.5 },
  { row: 0, token: 3, weight: 2 },
]

async function readLogProbs(write: RunRequest['write'] = []): Promise<number[][]> {
  const { reads } = await model.run({ tokens, write, read: [{ site: 'logits', at }] })
  const { shape: [rows = 0, width = 0] = [], data = new Float32Array() } = reads[0] ?? {}
  return Array.from({ length: rows }, (_, row) => {
    const logits = [...data.subarray(row * width, (row + 1) * width)]
    const log = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0))
    return logits.map((x) => x - log)
  })
}

/** Σ weight · KL(p ‖ q) over rows of log-probabilities. */
function divergence(p: readonly number[][], q: readonly number[][]): number {
  return at.reduce((total, { weight }, row) => {
    const terms = p[row]?.map((x, i) => Math.exp(x) * (x - (q[row]?.[i] ?? 0))) ?? []
    return total + weight * terms.reduce((sum, term) => sum + term, 0)
  }, 0)
}

test.each(['model', 'reference'] as const)('a divergence from a reference, averaged under the %s', async (under) => {
  const { width } = model.config
  const writeAt = (step: number) => {
    const value = Float32Array.from({ length: width }, (_, i) => 0.3 * Math.sin(i) + (i === 3 ? step : 0))
    return [
      { site: 'block-output.1', mode: 'add', value: tensor(value, [1, width]), at: [{ row: 0, token: 1 }] },
    ] as const
  }
  const other = await readLogProbs()
  const reference = tensor(Float32Array.from(other.flat()), [at.length, model.config.vocabulary])
  const lossAt = async (step: number) => {
    const write = writeAt(step)
    const asked = {
      tokens,
      write,
      loss: [{ kind: 'kl', at, reference, under }],
      gradientOf: ['block-output.1'],
    } as const
    const { loss = 0, gradients } = await model.run(asked)
    return { loss, slope: gradients['block-output.1']?.data[3] ?? 0 }
  }
  const { loss, slope } = await lossAt(0)
  const written = await readLogProbs(writeAt(0))
  expect(loss).toBeCloseTo(under === 'model' ? divergence(written, other) : divergence(other, written), 4)
  expect(loss).toBeGreaterThan(10 * F32)
  const step = 1e-2
  const difference = ((await lossAt(step)).loss - (await lossAt(-step)).loss) / (2 * step)
  expect(Math.abs(slope / difference - 1)).toBeLessThan(DIFFERENCES)
})
