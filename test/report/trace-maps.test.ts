import { expect, test } from 'vitest'
import type { Trace } from '../../src/editors/steps/causal-trace.ts'
import { averageTraces } from '../../src/editors/steps/causal-trace.ts'
import { mapAverage, mapTrace, tellAverage, tellTrace } from '../../src/report/trace-maps.ts'
import { tensor } from '../../src/tensor/tensor.ts'

/** Two layers, three tokens; the feed-forward of layer 1 brings back half of it at the subject. */
const part = (values: readonly number[]) => tensor(Float32Array.from(values), [2, 3])
const TRACE: Trace = {
  tokens: ['', ' France', ' is'],
  subject: [1, 1],
  clean: 0.75,
  corrupted: 0.25,
  restored: {
    'block-output': part([0.25, 0.75, 0.25, 0.25, 0.25, 0.75]),
    'mlp-output': part([0.25, 0.25, 0.25, 0.25, 0.5, 0.25]),
    'attention-output': part([0.25, 0.25, 0.25, 0.25, 0.25, 0]),
  },
}

test('a fact: shares by token and layer, the subject marked', () => {
  const [residual, mlp, attention] = mapTrace(TRACE)
  expect(residual).toEqual({
    title: 'residual stream after the layer put back, by token and layer',
    rows: ['(special)', '*France', 'is'],
    columns: ['0', '1'],
    values: [
      [0, 0],
      [1, 0],
      [0, 1],
    ],
  })
  expect(mlp?.values[1]).toEqual([0, 0.5])
  expect(attention?.values[2]).toEqual([0, -0.5])
  expect(tellTrace('France is', 'in Europe', TRACE)).toBe(
    '"France is" → "in Europe": 75 % clean, 25 % with noise on the subject (*).',
  )
})

test('an average: shares by where a token stands, and the layers it proposes', () => {
  const average = averageTraces([TRACE, TRACE])
  expect(mapAverage(average)[1]).toMatchObject({
    rows: expect.arrayContaining(['last subject token']),
    values: [
      [null, null],
      [null, null],
      [0, 0.5],
      [null, null],
      [null, null],
      [0, 0],
    ],
  })
  expect(tellAverage(average)).toBe(
    "2 facts that the model knows: 75 % clean, 25 % with noise. At the subject's last token the feed-forward brings back most at layer 1.",
  )
})
