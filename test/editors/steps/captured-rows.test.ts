import { expect, test } from 'vitest'
import { askWhole, openCapturedRows } from '../../../src/editors/steps/captured-rows.ts'
import { tokenizeTarget } from '../../../src/editors/steps/target-tokens.ts'
import type { LanguageModel } from '../../../src/models/model.ts'
import { expectClose } from '../../support/close.ts'
import { openTinyModel, type TinyModel } from '../../support/tiny-model.ts'

test.each<TinyModel>(['tiny-llama', 'tiny-t5'])(
  '%s says the same from what was kept, which is made once',
  async (name) => {
    const model = await openTinyModel(name)
    const runs: unknown[] = []
    const counted: LanguageModel = {
      ...model,
      run: (request) => {
        runs.push(request)
        return model.run(request)
      },
    }
    const rows = [
      await tokenizeTarget(model.tokenizer, 'The capital of France is', 'New Delhi'),
      await tokenizeTarget(model.tokenizer, 'Peru is in', 'Asia'),
    ]
    const ask = openCapturedRows(counted, 1)
    const [first, again] = [await ask(rows), await ask(rows)]
    expect(runs).toHaveLength(1)
    expect(again).toEqual(first)
    await ask(rows.slice(1))
    expect(runs).toHaveLength(2)

    const at = rows.map(({ row }, index) => ({ row: index, token: row.length - 1 }))
    const read = [{ site: 'logits', at }] as const
    const { reads } = await model.run({ ...first, read })
    const whole = await model.run({ ...askWhole(rows), read })
    expectClose(reads[0]?.data, whole.reads[0]?.data ?? [], { absolute: 1e-4 })
    expect(await openCapturedRows(counted, 0)(rows)).toEqual(askWhole(rows))
    await model.close()
  },
)

test('what would not fit is made anew', async () => {
  const model = await openTinyModel()
  // A model that says it is wide: a single row takes all the room there is.
  const wide: LanguageModel = { ...model, config: { ...model.config, mlpWidth: 2 ** 26 } }
  const rows = [await tokenizeTarget(model.tokenizer, 'The capital of France is', 'New Delhi')]
  let runs = 0
  const ask = openCapturedRows(
    {
      ...wide,
      run: (request) => {
        runs += 1
        return model.run(request)
      },
    },
    1,
  )
  await ask(rows)
  await ask(rows)
  expect(runs).toBe(2)
  await model.close()
})
