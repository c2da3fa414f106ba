import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PromptedFact, promptFact, readStates } from '../../../src/editors/steps/fact-states.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { expectClose } from '../../support/close.ts'
import { FACTS, makeFact } from '../../support/tiny-facts.ts'
import { openTinyModel, type TinyModel } from '../../support/tiny-model.ts'

/** The same sums over other groups of rows. */
const F32_FORWARD = { absolute: 1e-5 }
const PREFIXES = ['', 'I think so. ', 'The train leaves at 9. ']
/** A letter is one token in every tokenizer here. */
const AT_START = makeFact({ subject: 'F', prompt: 'F is a letter of', targetNew: 'Asia' })
const { signal } = new AbortController()

test.each([
  { name: 'the bare prompt counts as much as all prefixes', prefixes: PREFIXES, weights: [0.5, 0.25, 0.25] },
  { name: 'alone it is all', prefixes: [''], weights: [1] },
  { name: 'without it prefixes are all', prefixes: PREFIXES.slice(1), weights: [0.5, 0.5] },
])('$name', async ({ prefixes, weights }) => {
  const model = await openTinyModel()
  try {
    expect(await promptFact(model, FACTS[0], prefixes)).toMatchObject({ fact: FACTS[0], prefixes, weights })
  } finally {
    await model.close()
  }
})

describe.each<TinyModel>(['tiny-llama', 'tiny-t5'])('on %s', (name) => {
  let model: OpenModel
  let facts: PromptedFact[]
  beforeAll(async () => {
    model = await openTinyModel(name)
    facts = await Promise.all([...FACTS, AT_START].map((fact) => promptFact(model, fact, PREFIXES)))
  })
  afterAll(() => model.close())

  test('reads what whole texts have at the subject: keys by weight, the state of the first', async () => {
    const places = { layer: 0, site: 'block-output.1' } as const
    const { keys, states } = await readStates(model, places, facts, signal)
    const { mlpWidth, width } = model.config
    for (const [i, { texts, weights }] of facts.entries()) {
      const at = texts.map(({ subject }, row) => ({ row, token: subject }))
      const { reads } = await model.run({
        tokens: { rows: texts.map(({ ids }) => ids) },
        read: [
          { site: 'mlp-inner.0', at },
          { site: 'block-output.1', at: at.slice(0, 1) },
        ],
      })
      const key = Array.from({ length: mlpWidth }, (_, j) =>
        weights.reduce((sum, weight, row) => sum + weight * (reads[0]?.data[row * mlpWidth + j] ?? 0), 0),
      )
      expectClose(keys.subarray(i * mlpWidth, (i + 1) * mlpWidth), key, F32_FORWARD, 'key')
      expectClose(states.subarray(i * width, (i + 1) * width), reads[1]?.data ?? [], F32_FORWARD, 'state')
    }
  })

  test('many facts take several runs and come back in their order', async () => {
    const places = { layer: 1, site: 'mlp-output.1' } as const
    const one = await readStates(model, places, facts, signal)
    const many = await readStates(model, places, Array(60).fill(facts).flat(), signal)
    for (const which of ['keys', 'states'] as const) {
      expectClose(many[which], Array(60).fill(Array.from(one[which])).flat(), F32_FORWARD, which)
    }
  })
})

test('a subject that opens a text is read after prefixes only', async () => {
  const model = await openTinyModel()
  try {
    const { prefixes, texts } = await promptFact(model, AT_START, PREFIXES)
    expect(prefixes).toEqual(PREFIXES.slice(1))
    expect(texts).toHaveLength(2)
  } finally {
    await model.close()
  }
})
