import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Editor } from '../../../src/editors/editor.ts'
import { loadHparams } from '../../../src/editors/hparams.ts'
import { lora } from '../../../src/editors/lora.ts'
import { none } from '../../../src/editors/none.ts'
import { type AdmitJob, admitChange, editWithSimIE } from '../../../src/editors/steps/simie.ts'
import type { Fact } from '../../../src/facts/fact.ts'
import { addProduct } from '../../../src/models/edits.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import type { DensePart, LowRankPart, Patch, PatchPart } from '../../../src/models/patch.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { tensor, zeros } from '../../../src/tensor/tensor.ts'
import { expectClose, relativeError } from '../../support/close.ts'
import { FACTS, makeFact } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

interface Golden {
  readonly layer: number
  readonly ridge: number
  readonly edits: readonly {
    readonly id: string
    readonly prompt: string
    readonly targetNew: string
    readonly tokens: number
    readonly missing: number
    readonly made: readonly number[]
  }[]
}

const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../../golden/simie.json', import.meta.url), 'utf8'))
/** Keys and factors of a patch are float32; sums are float64. */
const F32 = 1e-5
const SHAPE = [64, 32] as const

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

/** A method whose patches are given. */
function stub(partsOf: (fact: Fact) => readonly PatchPart[]): Editor {
  return {
    ...none,
    title: 'Stub',
    edit: async ({ facts, model, history }) => ({
      parts: facts.flatMap(partsOf),
      report: { patches: model.patches.length, history: history.length },
    }),
  }
}

/** Edits facts one after another, as a stream does. */
async function stream(editor: Editor, facts: readonly Fact[]): Promise<Patch[]> {
  const history: Patch[] = []
  for (const fact of facts) {
    const job = { model, facts: [fact], hparams: {}, prepared: undefined, history: [...history] }
    history.push(await editWithSimIE(editor, job, testContext()))
  }
  return history
}

function made(patches: readonly Patch[], weight: string, shape: readonly [number, number] = SHAPE): Float32Array {
  const parts = patches.flatMap(({ parts }) => parts.filter((part): part is LowRankPart => part.kind === 'low-rank'))
  return parts.filter((part) => part.weight === weight).reduce((sum, part) => addProduct(sum, part), zeros(shape)).data
}

const one = (value: number) => tensor(Float32Array.of(value), [1, 1])
const dense = (weight: string, value: number): DensePart => ({ kind: 'dense', weight, delta: one(value) })

describe('one weight of one number, by hand', () => {
  const first: AdmitJob = { weight: 'w', now: one(2), earlier: [], ridge: 4, wanted: [dense('w', 3)], present: [] }

  test('the key 2 and λ = 4 make half of a change', async () => {
    const { part, missing } = await admitChange(first)
    expect(addProduct(zeros([1, 1]), part).data[0]).toBeCloseTo(1.5, 6)
    expect(missing).toBeCloseTo(0.5, 6)
  })

  test('an edit that wants no change takes back its share of it: (4 · 3 + 1 · 0) / (4 + 4 + 1)', async () => {
    const { part, missing } = await admitChange({
      ...first,
      now: one(1),
      earlier: [one(2)],
      wanted: [],
      present: [dense('w', 1.5)],
    })
    expect(1.5 + (addProduct(zeros([1, 1]), part).data[0] ?? 0)).toBeCloseTo(12 / 9, 6)
    expect(missing).toBe(0)
  })
})

describe('two edits of a weight [6, 4]', () => {
  const draw = (name: string, rows: number, columns: number) => {
    const random = createRandom(name)
    return tensor(
      Float32Array.from({ length: rows * columns }, () => random.normal()),
      [rows, columns],
    )
  }
  const wanted: DensePart = { kind: 'dense', weight: 'w', delta: draw('delta', 6, 4) }
  /** x · the part [N, 4] */
  const give = (x: { readonly data: Float32Array }, part: LowRankPart | DensePart) => {
    const { data } = part.kind === 'dense' ? part.delta : addProduct(zeros([6, 4]), part)
    return Array.from({ length: (x.data.length / 6) * 4 }, (_, at) => {
      const [row, j] = [Math.floor(at / 4), at % 4]
      return Array.from({ length: 6 }, (_, i) => (x.data[row * 6 + i] ?? 0) * (data[i * 4 + j] ?? 0)).reduce(
        (sum, value) => sum + value,
      )
    })
  }

  test('with hardly any λ the first does at its own tokens all that it does alone', async () => {
    const now = draw('keys', 3, 6)
    const { part, missing } = await admitChange({
      weight: 'w',
      now,
      earlier: [],
      ridge: 1e-9,
      wanted: [wanted],
      present: [],
    })
    expect(relativeError(give(now, part), give(now, wanted))).toBeLessThan(F32)
    expect(missing).toBeLessThan(F32)
  })

  test('with hardly any λ the second leaves the tokens of the first alone', async () => {
    const [then, now] = [draw('then', 2, 6), draw('now', 2, 6)]
    const { part } = await admitChange({
      weight: 'w',
      now,
      earlier: [then],
      ridge: 1e-9,
      wanted: [wanted],
      present: [],
    })
    expectClose(give(then, part), new Array(8).fill(0), { absolute: F32 })
    expect(relativeError(give(now, part), give(now, wanted))).toBeLessThan(F32)
  })

  test('keys more than the weight has inputs are met as well as can be', async () => {
    const [then, now] = [draw('then', 8, 6), draw('now', 2, 6)]
    const { missing } = await admitChange({
      weight: 'w',
      now,
      earlier: [then],
      ridge: 1e-9,
      wanted: [wanted],
      present: [],
    })
    expect(missing).toBeGreaterThan(0.1)
    expect(missing).toBeLessThan(1)
  })
})

describe('a stream', () => {
  const facts = GOLDEN.edits.map(({ id, prompt, targetNew }) => makeFact({ id, subject: '', prompt, targetNew }))
  const given = (weight: string) =>
    stub((fact) => {
      const edit = facts.indexOf(fact)
      const data = Float32Array.from({ length: 64 * 32 }, (_, n) => 0.05 * Math.sin(0.37 * n * (edit + 1)))
      return [{ kind: 'dense', weight, delta: tensor(data, SHAPE) }]
    })

  test('makes of a weight what the recursion with P does', async () => {
    const weight = model.weightName('mlp-down', GOLDEN.layer)
    const patches = await stream(given(weight), facts)
    for (const [i, { tokens, missing, made: expected }] of GOLDEN.edits.entries()) {
      expect(relativeError(made(patches.slice(0, i + 1), weight), expected), `after edit ${i}`).toBeLessThan(1e-3)
      expect(patches[i]?.report.simieMissing).toBeCloseTo(missing, 4)
      expect(patches[i]?.state?.[`simie keys ${weight}`]?.shape).toEqual([tokens, 64])
      expect(patches[i]?.state?.[`simie ridge ${weight}`]?.data[0]).toBeCloseTo(GOLDEN.ridge, 4)
    }
  })

  test('has the method edit the unedited model each time', async () => {
    const patches = await stream(given(model.weightName('mlp-down', GOLDEN.layer)), facts)
    expect(patches.map(({ report }) => [report.patches, report.history])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ])
  })

  test('goes on at a weight that a later edit leaves alone, from the keys that it has', async () => {
    const [first, second] = [model.weightName('mlp-down', 0), model.weightName('mlp-down', 1)]
    const whole = given(first)
    const editor = stub((fact) => (fact === facts[1] ? [{ kind: 'dense', weight: second, delta: zeros(SHAPE) }] : []))
    const both: Editor = {
      ...editor,
      edit: async (job, ctx) => (job.facts[0] === facts[0] ? whole : editor).edit(job, ctx),
    }
    const [one, two] = await stream(both, facts.slice(0, 2))
    expect(Object.keys(one?.state ?? {})).toEqual([`simie keys ${first}`, `simie ridge ${first}`])
    expect(two?.parts.map((part) => 'weight' in part && part.weight)).toEqual([second, first])
    expect(made([two ?? { parts: [], report: {} }], second).every((value) => value === 0)).toBe(true)
    expect(made([two ?? { parts: [], report: {} }], first).some((value) => value !== 0)).toBe(true)
  })

  test('makes nothing of a method that does nothing', async () => {
    expect(await stream(none, FACTS)).toEqual(FACTS.map(() => ({ parts: [], report: { simieMissing: 0 }, state: {} })))
  })

  test('refuses a method that changes something else than weights', async () => {
    const part = {
      kind: 'codebook',
      layer: 1,
      keys: zeros([0, 64]),
      values: zeros([0, 32]),
      radii: zeros([0]),
      labels: [],
    } as const
    await expect(
      stream(
        stub(() => [part]),
        FACTS,
      ),
    ).rejects.toMatchObject({
      code: 'E_SIMIE',
      values: { title: 'Stub', found: 'codebook' },
    })
  })

  test('makes the targets likelier with a method of many weights, whatever they are multiplied with', async () => {
    const hparams = await loadHparams(lora, model.config, { steps: 10, learningRate: 0.02 })
    const history: Patch[] = []
    for (const fact of FACTS) {
      const job = { model, facts: [fact], hparams, prepared: undefined, history: [...history] }
      history.push(await editWithSimIE(lora, job, testContext()))
    }
    const queries = FACTS.map(({ prompt, targetNew }) => ({ prompt, target: targetNew }))
    const edited = history.reduce<Pick<OpenModel, 'score' | 'withPatch'>>((on, patch) => on.withPatch(patch), model)
    const sum = ({ logProbs }: { readonly logProbs: readonly number[] }) => logProbs.reduce((a, b) => a + b)
    const [before, after] = [await model.score(queries), await edited.score(queries)]
    for (const [i, score] of after.entries()) expect(sum(score)).toBeGreaterThan(sum(before[i] ?? { logProbs: [0] }))
  })
})

test('reads the keys of both stacks of an encoder-decoder', async () => {
  const t5 = await openTinyModel('tiny-t5')
  try {
    const weights = [0, t5.config.layers - 1].map((layer) => t5.weightName('mlp-down', layer))
    const editor = stub(() =>
      weights.map((weight) => ({ kind: 'dense', weight, delta: zeros(t5.weightShape(weight)) }) as const),
    )
    const [fact] = FACTS
    const job = { model: t5, facts: [fact], hparams: {}, prepared: undefined, history: [] }
    const { state } = await editWithSimIE(editor, job, testContext())
    const { ids } = await t5.tokenizer.encode(fact.prompt)
    const target = await t5.tokenizer.encodeContinuation(` ${fact.targetNew}`)
    const rows = weights.map((weight) => state?.[`simie keys ${weight}`]?.shape[0])
    // The decoder begins with the prompt's last token.
    expect(rows).toEqual([ids.length, target.length + 1])
  } finally {
    await t5.close()
  }
})
