/** The cases of tools/golden/ft.py for one objective, run against an editor. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Editor } from '../../src/editors/editor.ts'
import type { FineTuneHparams } from '../../src/editors/steps/fine-tune.ts'
import type { Objective } from '../../src/editors/steps/train-on-facts.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import { expectClose, relativeError } from './close.ts'
import { recordLosses } from './record-losses.ts'
import { makeFact } from './tiny-facts.ts'
import { openTinyModel, testContext } from './tiny-model.ts'

/** Losses: rounding of float32 over four layers, carried along by up to 20 steps of Adam. */
const F32_LOSS = { relative: 1e-4 }
/** The change of the matrix: Adam divides by the size of a gradient, so that the rounding of small ones counts as well. */
const F32_CHANGE = 1e-3

interface GoldenCase {
  name: string
  objective: Objective
  hparams: FineTuneHparams
  facts: Pick<Fact, 'id' | 'subject' | 'prompt' | 'targetNew'>[]
  epochs: number
  losses: number[]
  delta: number[]
}

const GOLDEN: { cases: GoldenCase[] } = JSON.parse(readFileSync(new URL('../golden/ft.json', import.meta.url), 'utf8'))

/** Declares a test for each case. */
export function describeFineTuning(editor: Editor<FineTuneHparams, undefined>, objective: Objective): void {
  const cases = GOLDEN.cases.filter((golden) => golden.objective === objective)
  let base: OpenModel
  beforeAll(async () => {
    base = await openTinyModel()
  })
  afterAll(() => base.close())

  test('has golden cases', () => {
    expect(cases.length).toBeGreaterThan(1)
  })

  test.each(cases)('descends as PyTorch does: $name', async ({ hparams, facts, epochs, losses, delta }) => {
    const recorder = recordLosses(base)
    const job = { model: recorder.model, facts: facts.map((fact) => makeFact(fact)), hparams, prepared: undefined }
    const { parts, report } = await editor.edit({ ...job, history: [] }, testContext())
    expectClose(recorder.losses, losses, F32_LOSS, 'losses')
    expect(report.epochs).toBe(epochs)

    const [part] = parts
    if (part?.kind !== 'dense' || parts.length !== 1) throw new Error('expected one dense part')
    expect(part.weight).toBe(`model.layers.${hparams.layer}.mlp.down_proj.weight`)
    expect(part.delta.shape).toEqual([base.config.mlpWidth, base.config.width])
    expect(relativeError(part.delta.data, delta)).toBeLessThan(F32_CHANGE)
  })

  test('trains the matrix that earlier edits left', async () => {
    const [golden] = cases
    if (golden === undefined) throw new Error('no case')
    const { hparams, facts } = golden
    const edit = (
      model: OpenModel | ReturnType<OpenModel['withPatch']>,
      history: Parameters<typeof base.withPatch>[0][],
    ) =>
      editor.edit(
        { model, facts: facts.slice(0, 1).map((fact) => makeFact(fact)), hparams, prepared: undefined, history },
        testContext(),
      )
    const first = await edit(base, [])
    const second = await edit(base.withPatch(first), [first])
    // The second edit begins where the first stopped, which was at or below the loss of its last epoch.
    expect(first.report.lossLast).toBeLessThan(0.9 * (first.report.lossFirst ?? 0))
    expect(second.report.lossFirst).toBeLessThan(1.001 * (first.report.lossLast ?? 0))
  })
}
