import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rRome } from '../../src/editors/r-rome.ts'
import { rome } from '../../src/editors/rome.ts'
import type { Covariance } from '../../src/editors/steps/covariance.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LowRankPart } from '../../src/models/patch.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { type CovarianceGolden, covarianceOf, type GoldenFact } from '../support/covariances.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and losses: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }
/** What is made of δ after 14 steps of Adam, which divides by the size of small gradients. */
const F32_DESCENT = 1e-3

interface Golden extends CovarianceGolden<{ layer: number }> {
  edits: {
    fact: GoldenFact
    losses: number[]
    left: number[]
    divisor: number
    right: number[]
  }[]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/r-rome.json', import.meta.url), 'utf8'))
const { settings } = GOLDEN

describe('against PyTorch', () => {
  let model: OpenModel
  let covariance: Covariance
  beforeAll(async () => {
    model = await openTinyModel()
    covariance = await covarianceOf(model, GOLDEN)
  })
  afterAll(() => model.close())

  const jobOf = (fact: GoldenFact, prefixes = GOLDEN.prefixes) => ({
    model,
    facts: [makeFact(fact)],
    hparams: { ...settings, shortPrefixes: 0, longPrefixes: 0, tokensPerUnit: 1 },
    prepared: { covariance, prefixes },
    history: [],
  })

  test.each(GOLDEN.edits)('$fact.id: losses, and the change of the weight', async (golden) => {
    const { parts, report } = await rRome.edit(jobOf(golden.fact), testContext())
    const [part] = parts as readonly LowRankPart[]
    expect(part?.weight).toBe('model.layers.1.mlp.down_proj.weight')
    expectClose(part?.left.data, golden.left, F32_FORWARD, 'left')
    expect(relativeError(part?.right.data ?? [], golden.right)).toBeLessThan(F32_DESCENT)
    expect(report.divisor).toBeCloseTo(golden.divisor, 4)
    expect(report.lossFirst).toBeCloseTo(golden.losses[0] ?? 0, 3)
    expect(report.lossLast).toBeCloseTo(golden.losses.at(-1) ?? 0, 3)
    // The averaged key, not the bare prompt's, gets the value.
    expect(report.keyResidual).toBeLessThan(1e-5)
  })

  test('where the bare prompt is all there is, it is ROME', async () => {
    for (const { fact } of GOLDEN.edits) {
      const [one, other] = [rRome, rome].map((editor) => editor.edit(jobOf(fact, ['']), testContext()))
      expect(await one).toEqual(await other)
    }
  })
})

// Random weights have nothing in common between one prefix and the next: what helps the mean need not help each.
describeEditor(rRome, { hparams: { shortPrefixes: 0, longPrefixes: 0, klFactor: 0 } })
describeMemory(rRome, 625)
