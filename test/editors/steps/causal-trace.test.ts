import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  averageTraces,
  embeddingDeviation,
  proposeLayers,
  proposeRecallLayers,
  TRACED_SITES,
  type Trace,
  traceFact,
  traceRecall,
  windowFor,
} from '../../../src/editors/steps/causal-trace.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { openTinyModel, TINY_MODELS, testContext } from '../../support/tiny-model.ts'

const FACT = { prompt: 'The capital of France is', subjectSpan: [15, 21], answer: 'the' } as const
const SETTINGS = { deviation: 1, noise: 3, samples: 3, window: 1 }
/** Float32 sums in another order, of probabilities of some 1e-3. */
const SAME = 1e-7

let model: OpenModel
let trace: Trace
beforeAll(async () => {
  model = await openTinyModel()
  trace = await traceFact({ model, fact: FACT, settings: SETTINGS }, testContext())
})
afterAll(() => model.close())

const at = ({ restored, tokens }: Trace, site: (typeof TRACED_SITES)[number], layer: number, token: number) =>
  restored[site].data[layer * tokens.length + token] ?? Number.NaN

describe('a trace', () => {
  test('knows the prompt, the subject and the answer as the model does', async () => {
    const [score] = await model.score([{ prompt: FACT.prompt, target: FACT.answer }])
    expect(Math.log(trace.clean)).toBeCloseTo(score?.logProbs[0] ?? 0, 4)
    expect(trace.tokens.join('')).toContain('The capital of France is')
    const [first, last] = trace.subject
    expect(
      trace.tokens
        .slice(first, last + 1)
        .join('')
        .trim(),
    ).toBe('France')
    for (const site of TRACED_SITES)
      expect(trace.restored[site].shape).toEqual([model.config.layers, trace.tokens.length])
  })

  test('is of a prompt that noise has changed', () => {
    expect(Math.abs(trace.corrupted - trace.clean)).toBeGreaterThan(1e-5)
  })

  test('changes nothing where nothing was corrupted: before the subject', () => {
    for (const site of TRACED_SITES) {
      for (let layer = 0; layer < model.config.layers; layer++) {
        for (let token = 0; token < trace.subject[0]; token++) {
          expect(Math.abs(at(trace, site, layer, token) - trace.corrupted)).toBeLessThan(SAME)
        }
      }
    }
  })

  test('gets all back at the last layer of the last token, which decides an answer of one token alone', async () => {
    expect(await model.tokenizer.encodeContinuation(` ${FACT.answer}`)).toHaveLength(1)
    const last = trace.tokens.length - 1
    expect(Math.abs(at(trace, 'block-output', model.config.layers - 1, last) - trace.clean)).toBeLessThan(SAME)
    expect(Math.abs(at(trace, 'block-output', 0, last) - trace.clean)).toBeGreaterThan(10 * SAME)
  })

  test('is of the whole answer', async () => {
    const answer = 'the town'
    const longer = await traceFact({ model, fact: { ...FACT, answer }, settings: SETTINGS }, testContext())
    const [score] = await model.score([{ prompt: FACT.prompt, target: answer }])
    const logProb = (score?.logProbs ?? []).reduce((sum, each) => sum + each, 0)
    expect(Math.log(longer.clean)).toBeCloseTo(logProb, 4)
  })

  test('without noise is the clean run everywhere', async () => {
    const still = await traceFact({ model, fact: FACT, settings: { ...SETTINGS, noise: 0 } }, testContext())
    for (const value of [still.corrupted, ...TRACED_SITES.flatMap((site) => [...still.restored[site].data])]) {
      expect(Math.abs(value - still.clean)).toBeLessThan(SAME)
    }
  })

  test('of a window puts several layers back at once: all of them are the same wherever the window stands', async () => {
    const { layers } = model.config
    const wide = await traceFact(
      { model, fact: FACT, settings: { ...SETTINGS, window: 2 * layers + 1 } },
      testContext(),
    )
    const [, last] = trace.subject
    for (const site of ['mlp-output', 'attention-output'] as const) {
      expect(Math.abs(at(wide, site, 0, last) - at(wide, site, layers - 1, last))).toBeLessThan(SAME)
      expect(Math.abs(at(wide, site, 0, last) - at(trace, site, 0, last))).toBeGreaterThan(SAME)
    }
    // The residual stream is put back alone.
    expect(at(wide, 'block-output', 0, last)).toBeCloseTo(at(trace, 'block-output', 0, last), 8)
  })

  test.each([
    [48, 10],
    [30, 6],
    [6, 1],
    [2, 1],
  ])('of a model of %d layers takes %d together', (layers, window) => {
    expect(windowFor({ ...model.config, layers })).toBe(window)
  })

  test('is the same for the same seed', async () => {
    const again = await traceFact({ model, fact: FACT, settings: SETTINGS }, testContext())
    expect(again).toEqual(trace)
  })
})

describe('recall', () => {
  test('is the column of the whole trace that layers are proposed by', async () => {
    const recall = await traceRecall({ model, fact: FACT, settings: SETTINGS }, testContext())
    const [, last] = trace.subject
    expect(recall.restored).toHaveLength(model.config.layers)
    for (const [layer, value] of recall.restored.entries())
      expect(Math.abs(value - at(trace, 'mlp-output', layer, last))).toBeLessThan(SAME)
    expect(Math.abs(recall.clean - trace.clean)).toBeLessThan(SAME)
    expect(Math.abs(recall.corrupted - trace.corrupted)).toBeLessThan(SAME)
    expect(proposeRecallLayers([recall])).toEqual(proposeLayers(averageTraces([trace])))
  })

  test('of several facts proposes by the mean of what comes back', () => {
    const low = { clean: 0.9, corrupted: 0.1, restored: [0.1, 0.5, 0.3, 0.1] } // effects 0, .4, .2, 0
    const high = { clean: 0.5, corrupted: 0.2, restored: [0.2, 0.3, 0.6, 0.3] } // effects 0, .1, .4, .1
    // Means 0, .25, .3, .05: the peak is layer 2, and layer 1 brings back at least half as much.
    expect(proposeRecallLayers([low, high])).toEqual({ peak: 2, range: [1, 2] })
  })
})

test('the deviation is that of the numbers in the embedding of the subject', async () => {
  const { reads } = await model.run({
    tokens: { rows: [(await model.tokenizer.encode(FACT.prompt)).ids] },
    read: [
      {
        site: 'block-input.0',
        at: Array.from({ length: trace.subject[1] - trace.subject[0] + 1 }, (_, i) => ({
          row: 0,
          token: trace.subject[0] + i,
        })),
      },
    ],
  })
  const numbers = [...(reads[0]?.data ?? [])]
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length
  const deviation = Math.sqrt(numbers.reduce((sum, each) => sum + (each - mean) ** 2, 0) / numbers.length)
  expect(await embeddingDeviation(model, [FACT])).toBeCloseTo(deviation, 6)
  expect(await embeddingDeviation(model, [FACT, FACT])).toBeCloseTo(deviation, 6)
})

test.each(TINY_MODELS.filter((name) => ['tiny-gpt2', 'tiny-gptj', 'tiny-gemma2', 'tiny-t5'].includes(name)))(
  '%s can be traced',
  async (name) => {
    const other = await openTinyModel(name)
    try {
      const traced = await traceFact({ model: other, fact: FACT, settings: SETTINGS }, testContext())
      const values = TRACED_SITES.flatMap((site) => [...traced.restored[site].data])
      expect(values.every((value) => value >= 0 && value <= 1)).toBe(true)
    } finally {
      await other.close()
    }
  },
)

describe('an average', () => {
  /** Two layers; the feed-forward of the second brings all back at the subject's last token. */
  const sketch = (tokens: number, subject: [number, number], clean: number): Trace => {
    const put = (layer: number, token: number, value: number) => {
      const data = new Float32Array(2 * tokens).fill(0.1)
      data[layer * tokens + token] = value
      return tensor(data, [2, tokens])
    }
    const last = tokens - 1
    const restored = {
      'block-output': put(1, last, clean),
      'mlp-output': put(1, subject[1], clean),
      'attention-output': put(0, subject[0], 0.2),
    }
    return { tokens: Array.from({ length: tokens }, (_, i) => `t${i}`), subject, clean, corrupted: 0.1, restored }
  }

  test('is the mean effect over what the noise takes away, by where a token stands', () => {
    const average = averageTraces([sketch(7, [1, 3], 0.9), sketch(4, [2, 2], 0.5)])
    expect(average).toMatchObject({ facts: 2, clean: 0.7, corrupted: 0.1 })
    const { shares } = average
    // (0.8 + 0.4) / 2 of 0.6; roles: first, middle, last subject token, next, further, last.
    expect(shares['mlp-output'][1]).toEqual([
      expect.closeTo(0),
      expect.closeTo(0),
      expect.closeTo(1),
      expect.closeTo(0),
      expect.closeTo(0),
      expect.closeTo(0),
    ])
    expect(shares['block-output'][1]?.[5]).toBeCloseTo(1)
    // Only the first has a first subject token that is not the last: 0.1 of 0.6; in the other the subject is one token.
    expect(shares['attention-output'][0]?.[0]).toBeCloseTo(1 / 6)
    expect(shares['attention-output'][0]?.[2]).toBeCloseTo(0.05 / 0.6)
  })

  test('has nothing where no fact has such a token', () => {
    const { shares } = averageTraces([sketch(4, [2, 2], 0.5)])
    expect(shares['mlp-output'][0]?.slice(0, 2)).toEqual([null, null])
    expect(shares['mlp-output'][0]?.[4]).toBeNull()
  })

  test.each<[number[], { peak: number; range: [number, number] }]>([
    [[0, 0.2, 0.5, 0.4, 0.1], { peak: 2, range: [2, 3] }],
    [[0.5, 0.3, 0.1, 0.4], { peak: 0, range: [0, 1] }],
    [[0.1, 0.1, 0.1], { peak: 0, range: [0, 2] }],
  ])('of %j at the subject proposes %j', (atSubject, proposed) => {
    const layers = atSubject.map((share) => [0, 0, share, 0, 0, 0])
    const shares = { 'mlp-output': layers, 'block-output': layers, 'attention-output': layers }
    expect(proposeLayers({ facts: 1, clean: 1, corrupted: 0, shares })).toEqual(proposed)
  })
})
