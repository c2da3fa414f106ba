import { expect, test } from 'vitest'
import { differentiate, differentiateAll } from '../../../src/editors/steps/differentiate.ts'
import { tensor, zeros } from '../../../src/tensor/tensor.ts'
import { openTinyModel } from '../../support/tiny-model.ts'

test('gives the loss and its slope: a small step against the gradient lowers the loss by its square', async () => {
  const model = await openTinyModel()
  const site = 'mlp-output.1'
  const ask = (value: ReturnType<typeof zeros>) =>
    differentiate(
      model,
      {
        tokens: { rows: [Int32Array.of(5, 6, 7)] },
        write: [{ site, mode: 'add', value, at: [{ row: 0, token: 1 }] }],
        loss: [{ kind: 'nll', at: [{ row: 0, token: 2, target: 9, weight: 1 }] }],
      },
      site,
    )
  const start = await ask(zeros([1, model.config.width]))
  expect(start.gradient.shape).toEqual([1, model.config.width])
  const step = 1e-3
  const moved = await ask(
    tensor(
      start.gradient.data.map((slope) => -step * slope),
      start.gradient.shape,
    ),
  )
  const square = start.gradient.data.reduce((sum, slope) => sum + slope * slope, 0)
  expect((start.loss - moved.loss) / (step * square)).toBeCloseTo(1, 1)

  const nothingToLose = { tokens: { rows: [Int32Array.of(5)] }, read: [{ site: 'logits', at: 'all' }] } as const
  await expect(differentiate(model, nothingToLose, site)).rejects.toMatchObject({ code: 'E_INTERNAL' })
  await model.close()
})

test('tells what each term of the loss is', async () => {
  const model = await openTinyModel()
  const site = 'mlp-output.1'
  const at = (target: number) => ({ kind: 'nll', at: [{ row: 0, token: 2, target, weight: 1 }] }) as const
  const { loss, lossTerms } = await differentiateAll(
    model,
    {
      tokens: { rows: [Int32Array.of(5, 6, 7)] },
      write: [{ site, mode: 'add', value: zeros([1, model.config.width]), at: [{ row: 0, token: 1 }] }],
      loss: [at(9), at(10)],
    },
    [site],
  )
  const [one = 0, other = 0] = lossTerms
  expect(one).not.toBe(other)
  expect(loss).toBeCloseTo(one + other, 6)
  await model.close()
})
