import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type IkeHparams, ike } from '../../src/editors/ike.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { ContextPart, Patch } from '../../src/models/patch.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { expectClose } from '../support/close.ts'
import { describeEditor, IN_CONTEXT } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and log-probabilities: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }

type Sentence = Pick<Fact, 'prompt' | 'targetNew'>

interface Golden {
  layer: number
  fact: Sentence
  pool: Sentence[]
  vectors: number[]
  promptVector: number[]
  order: number[]
  targetLogProbs: number[]
}

const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/ike.json', import.meta.url), 'utf8'))
const SETTINGS: IkeHparams = { demonstrations: 0, copyFact: false, tokens: 1000, layer: GOLDEN.layer }

const sentence = ({ prompt, targetNew }: Sentence): Fact => makeFact({ subject: prompt, prompt, targetNew })
/** A fact with one paraphrase and one neighbour, of which both can be told by its number. */
const demonstrable = (fact: Sentence, i: number): Fact =>
  makeFact(
    { subject: fact.prompt, prompt: fact.prompt, targetNew: fact.targetNew },
    {
      paraphrases: [`Paraphrase ${i} is`],
      neighbours: [{ prompt: `Neighbour ${i} is`, targets: [`True${i}`, 'Other'] }],
    },
  )
const FACT = sentence(GOLDEN.fact)
const POOL = GOLDEN.pool.map(demonstrable)
/** The numbers of the pool's facts, nearest first. */
const [NEAREST = 0, SECOND = 0] = GOLDEN.order

const DEFAULTS: { pool: readonly Fact[]; contextLength: number } = { pool: POOL, contextLength: 2048 }

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

/** Edits as if the tiny model could attend to `contextLength` tokens: its own 512 hold four demonstrations. */
async function edit(
  facts: readonly Fact[],
  hparams: IkeHparams,
  { pool = POOL, contextLength = 2048 }: Partial<typeof DEFAULTS> = {},
) {
  const ctx = testContext({ random: createRandom(4) })
  const prepared = await ike.prepare?.({ model, hparams, material: { text: null, facts: pool } }, ctx)
  if (prepared === undefined) throw new Error('expected a preparation')
  const roomy = { ...model, config: { ...model.config, contextLength } }
  const patch = await ike.edit({ model: roomy, facts, hparams, prepared, history: [] }, ctx)
  return { patch, prepared, entries: contextOf(patch).entries, before: contextOf(patch).entries[0]?.before }
}

function contextOf(patch: Patch): ContextPart {
  const [part] = patch.parts
  if (part?.kind !== 'context' || patch.parts.length !== 1) throw new Error('expected one context')
  return part
}

const lima = 'The capital of France is Lima'

describe('the text before a prompt', () => {
  test('is the fact alone, without demonstrations (ICE)', async () => {
    const { before, patch } = await edit([FACT], SETTINGS)
    expect(before).toBe(`New Fact: ${lima}\nPrompt: `)
    expect(patch.report).toMatchObject({ demonstrationFacts: 0, fewestDemonstrations: 0 })
  })

  test('has the fact itself as the last demonstration, a copy', async () => {
    const { before } = await edit([FACT], { ...SETTINGS, copyFact: true })
    expect(before).toBe(`New Fact: ${lima}\nPrompt: ${lima}\n\nNew Fact: ${lima}\nPrompt: `)
  })

  test('has a demonstration of the nearest fact: one alone shows that neighbours stay', async () => {
    const { before } = await edit([FACT], { ...SETTINGS, demonstrations: 1, copyFact: true })
    const shown = `New Fact: The capital city of Poland is Rome\nPrompt: Neighbour ${NEAREST} is True${NEAREST}\n\n`
    expect(GOLDEN.pool[NEAREST]?.prompt).toBe('The capital city of Poland is')
    expect(before).toBe(`${shown}New Fact: ${lima}\nPrompt: ${lima}\n\nNew Fact: ${lima}\nPrompt: `)
  })

  test('has demonstrations in the ratio 1 : 3 : 4, nearest last', async () => {
    const pool = [...POOL, ...POOL.map((fact, i) => ({ ...fact, prompt: `${fact.prompt} now`, id: `${i}` }))].slice(
      0,
      8,
    )
    const { before = '', patch } = await edit([FACT], { ...SETTINGS, demonstrations: 8 }, { pool })
    const demonstrations = before.split('\n\n').slice(0, -1)
    const kinds = demonstrations.map((text) => {
      const [, fact, prompt = ''] = /^New Fact: (.*)\nPrompt: (.*)$/.exec(text) ?? []
      return prompt === fact ? 'copy' : prompt.startsWith('Paraphrase') ? 'update' : 'retain'
    })
    expect([...kinds].sort()).toEqual(['copy', 'retain', 'retain', 'retain', 'retain', 'update', 'update', 'update'])
    expect(demonstrations.at(-1)).toContain('New Fact: The capital city of Poland is')
    expect(patch.report.fewestDemonstrations).toBe(8)
  })

  test('gives up the farthest demonstrations where the tokens do not suffice', async () => {
    const whole = await edit([FACT], { ...SETTINGS, demonstrations: 5 })
    const tokens = (whole.patch.report.mostTokens ?? 0) - 1
    const { before = '', patch } = await edit([FACT], { ...SETTINGS, demonstrations: 5, tokens })
    expect(whole.before?.endsWith(before)).toBe(true)
    expect(before.split('\n\n')).toHaveLength(5)
    expect(patch.report.fewestDemonstrations).toBe(4)
    expect(patch.report.mostTokens).toBeLessThanOrEqual(tokens)
  })

  test('leaves the model room for a prompt and its answer, whatever the settings allow', async () => {
    const pool = Array.from({ length: 12 }, (_, i) =>
      demonstrable({ prompt: `The capital of town ${i} is`, targetNew: 'Rome' }, i),
    )
    const { patch } = await edit(
      [FACT],
      { ...SETTINGS, demonstrations: 12, tokens: 100_000 },
      { pool, contextLength: 512 },
    )
    expect(patch.report.mostTokens).toBeLessThanOrEqual(512 - 256)
    expect(patch.report.fewestDemonstrations).toBeGreaterThan(1)
  })

  test('passes over facts that lack the prompts of a kind, and says so when there are none at all', async () => {
    const bare = POOL.map((fact, i) => (i === NEAREST ? sentence(fact) : fact))
    const { before } = await edit([FACT], { ...SETTINGS, demonstrations: 1 }, { pool: bare })
    expect(before).toContain(`Neighbour ${SECOND} is True${SECOND}`)
    const none = await edit([FACT], { ...SETTINGS, demonstrations: 4 }, { pool: [] })
    expect(none.before).toBe(`New Fact: ${lima}\nPrompt: `)
    expect(none.patch.report).toMatchObject({ demonstrationFacts: 0, fewestDemonstrations: 0 })
  })
})

describe('against PyTorch', () => {
  test('sentence vectors and the answers in a context agree', async () => {
    const { prepared, entries, patch } = await edit([FACT], { ...SETTINGS, demonstrations: 1 })
    expectClose(prepared.vectors.data, GOLDEN.vectors, F32_FORWARD, 'vectors')
    expectClose(entries[0]?.vector.data, GOLDEN.promptVector, F32_FORWARD, 'prompt vector')
    expect(contextOf(patch).retrieval).toEqual({ by: 'cosine', vectors: { layer: GOLDEN.layer }, above: null })
    const ice = await edit([FACT], SETTINGS)
    const [score] = await model.withPatch(ice.patch).score([{ prompt: FACT.prompt, target: FACT.targetNew }])
    expectClose(score?.logProbs, GOLDEN.targetLogProbs, F32_FORWARD, 'log-probabilities')
  })

  test('the nearest facts are shown, in that order', async () => {
    const { before = '' } = await edit([FACT], { ...SETTINGS, demonstrations: 5 })
    const prompts = [...before.matchAll(/New Fact: (.*)\n/g)].map(([, fact]) => fact)
    const expected = GOLDEN.order.map((i) => `${GOLDEN.pool[i]?.prompt} ${GOLDEN.pool[i]?.targetNew}`)
    expect(prompts).toEqual([...expected.reverse(), lima])
  })
})

describe('several facts', () => {
  const other = sentence({ prompt: 'People in Japan speak', targetNew: 'Thai' })
  const ask = async (patches: readonly Patch[], { prompt }: Fact) => {
    const edited = patches.reduce(
      (before, patch) => before.withPatch(patch),
      model as ReturnType<OpenModel['withPatch']>,
    )
    return edited.score([{ prompt, target: 'Thai' }])
  }

  test('each get a text of their own, found by the prompt', async () => {
    const both = await edit([FACT, other], SETTINGS)
    for (const fact of [FACT, other]) {
      expect(await ask([both.patch], fact)).toEqual(await ask([(await edit([fact], SETTINGS)).patch], fact))
    }
  })

  test('of a stream stay, and the newest text for a prompt is taken', async () => {
    const first = await edit([FACT], SETTINGS)
    const second = await edit([other], SETTINGS)
    const third = await edit([{ ...FACT, targetNew: 'Cairo' }], SETTINGS)
    expect(third.before).toContain('The capital of France is Cairo')
    expect(await ask([first.patch, second.patch, third.patch], FACT)).toEqual(await ask([third.patch], FACT))
    expect(await ask([first.patch, second.patch], FACT)).toEqual(await ask([first.patch], FACT))
  })
})

describeEditor(ike, { skip: IN_CONTEXT })
describeMemory(ike, 311)
