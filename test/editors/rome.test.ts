import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rome } from '../../src/editors/rome.ts'
import { type Covariance, solveCovariance } from '../../src/editors/steps/covariance.ts'
import { averageRows, readKeys } from '../../src/editors/steps/keys.ts'
import { promptAfter, tokenizeSubject } from '../../src/editors/steps/subject.ts'
import { findTargetValue } from '../../src/editors/steps/target-value.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LowRankPart } from '../../src/models/patch.ts'
import { dot, factorCholesky, norm } from '../../src/tensor/linalg.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { type CovarianceGolden, covarianceOf, type GoldenFact } from '../support/covariances.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and losses: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }
/** δ after 14 steps of Adam, which divides by the size of small gradients. */
const F32_DESCENT = 1e-3

interface Golden extends CovarianceGolden<{ layer: number }> {
  covarianceDiagonal: number[]
  covarianceNorm: number
  condition: number
  edits: {
    fact: GoldenFact
    kStar: number[]
    u: number[]
    losses: number[][]
    initial: number[]
    delta: number[]
    divisor: number
    right: number[]
  }[]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/rome.json', import.meta.url), 'utf8'))
const { settings, prefixes } = GOLDEN

describe('against PyTorch, step by step', () => {
  let model: OpenModel
  let covariance: Covariance
  beforeAll(async () => {
    model = await openTinyModel()
    covariance = await covarianceOf(model, GOLDEN)
  })
  afterAll(() => model.close())

  test('covariance, with its ridge, and its condition', () => {
    const { size, matrix, tokens } = covariance
    const diagonal = Array.from({ length: size }, (_, i) => matrix[i * size + i] ?? 0)
    expect(tokens).toBe(600)
    expectClose(diagonal, GOLDEN.covarianceDiagonal, { relative: 1e-5 }, 'diagonal')
    expect(norm(matrix) / GOLDEN.covarianceNorm).toBeCloseTo(1, 5)
    const share = covariance.condition / GOLDEN.condition
    expect(share).toBeGreaterThan(1 / 3)
    expect(share).toBeLessThan(1.001)
  })

  test.each(GOLDEN.edits)('$fact.id: key and direction', async (golden) => {
    const fact = makeFact(golden.fact)
    const texts = await Promise.all(
      prefixes.map((prefix) => tokenizeSubject(model.tokenizer, promptAfter(prefix, fact))),
    )
    const kStar = averageRows((await readKeys(model, settings.layer, texts)).keys)
    expectClose(kStar, golden.kStar, F32_FORWARD, 'k*')
    const { x, residual } = solveCovariance(covariance, kStar)
    expect(residual).toBeLessThan(1e-10)
    const length = norm(x)
    expectClose(
      x.map((value) => value / length),
      golden.u,
      F32_FORWARD,
      'u',
    )
  })

  test.each(GOLDEN.edits)('$fact.id: every loss, and the value found', async (golden) => {
    const fact = makeFact(golden.fact)
    const found = await findTargetValue(
      { model, fact, prefixes, settings: { ...settings, site: 'mlp-output' } },
      testContext(),
    )
    expect(found.losses).toHaveLength(settings.steps)
    const terms = found.losses.map(({ total, target, kl, decay }) => [total, target, kl, decay])
    for (const [i, name] of ['total', 'target', 'kl', 'decay'].entries()) {
      expectClose(
        terms.map((row) => row[i] ?? 0),
        golden.losses.map((row) => row[i] ?? 0),
        F32_FORWARD,
        name,
      )
    }
    expectClose(found.initial, golden.initial, F32_FORWARD, 'v0')
    expect(relativeError(found.delta, golden.delta)).toBeLessThan(F32_DESCENT)
    expect(found.targetProbability).toBeCloseTo(Math.exp(-(golden.losses.at(-1)?.[1] ?? 0)), 6)
  })

  test.each(GOLDEN.edits)('$fact.id: the change of the weight', async (golden) => {
    const hparams = { ...settings, shortPrefixes: 0, longPrefixes: 0, tokensPerUnit: 1 }
    const job = { model, facts: [makeFact(golden.fact)], hparams, prepared: { covariance, prefixes }, history: [] }
    const { parts, report } = await rome.edit(job, testContext())
    const [part] = parts as readonly LowRankPart[]
    expect(part?.weight).toBe('model.layers.1.mlp.down_proj.weight')
    expect([part?.left.shape, part?.right.shape]).toEqual([
      [64, 1],
      [1, 32],
    ])
    expectClose(part?.left.data, golden.u, F32_FORWARD, 'left')
    expect(relativeError(part?.right.data ?? [], golden.right)).toBeLessThan(F32_DESCENT)
    expect(report.divisor).toBeCloseTo(golden.divisor, 4)
    expect(report.keyResidual).toBeLessThan(1e-5)
  })

  test('refuses a change whose direction misses the key', async () => {
    const [golden] = GOLDEN.edits
    const fact = makeFact(golden?.fact ?? { id: '', prompt: '', subject: '', targetNew: '' })
    const texts = await Promise.all(
      prefixes.map((prefix) => tokenizeSubject(model.tokenizer, promptAfter(prefix, fact))),
    )
    const { keys } = await readKeys(model, settings.layer, texts)
    const crossed = await crossingCovariance(averageRows(keys), keys.data.subarray(0, covariance.size))
    const hparams = { ...settings, shortPrefixes: 0, longPrefixes: 0, tokensPerUnit: 1 }
    const prepared = { covariance: { ...covariance, ...crossed }, prefixes }
    const edit = rome.edit({ model, facts: [fact], hparams, prepared, history: [] }, testContext())
    await expect(edit).rejects.toMatchObject({ code: 'E_KEY_RESIDUAL', values: { subject: 'France' } })
  })

  test('one golden fact reaches the limit on the length of the change, the other does not', () => {
    const shares = GOLDEN.edits.map(({ initial, delta }) => norm(delta) / norm(initial) / settings.clamp)
    expect(shares[0]).toBeLessThan(0.99)
    expect(shares[1]).toBeCloseTo(1, 5)
  })
})

/** C for which u = C⁻¹k* is at a right angle to k: C⁻¹ = I + β s sᵀ, s the unit key minus the unit k*, β = c/(1 − c)², c their cosine. */
async function crossingCovariance(kStar: Float64Array, key: Float32Array) {
  const [a, b] = [norm(kStar), norm(key)]
  const s = kStar.map((value, i) => (key[i] ?? 0) / b - value / a)
  const cosine = dot(kStar, key) / (a * b)
  const beta = cosine / (1 - cosine) ** 2
  const shrink = beta / (1 + beta * dot(s, s)) // Sherman and Morrison
  const size = s.length
  const matrix = Float64Array.from({ length: size * size }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size]
    return (i === j ? 1 : 0) - shrink * (s[i] ?? 0) * (s[j] ?? 0)
  })
  return { matrix, factor: await factorCholesky(matrix, size) }
}

// Random weights have nothing in common between one prefix and the next: what helps the mean need not help each.
describeEditor(rome, { hparams: { shortPrefixes: 0, longPrefixes: 0, klFactor: 0 } })
describeMemory(rome, 595)
