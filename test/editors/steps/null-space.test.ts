import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../../src/context.ts'
import { writeArrayFile } from '../../../src/editors/steps/array-file.ts'
import { averageGram, gatherGrams } from '../../../src/editors/steps/covariance.ts'
import {
  cutNullSpace,
  type NullSpace,
  prepareNullSpaces,
  projectToNullSpace,
} from '../../../src/editors/steps/null-space.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { dot, norm } from '../../../src/tensor/linalg.ts'
import { expectClose } from '../../support/close.ts'
import { TEXT } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const F64 = { absolute: 1e-12 }
const job = (settings = {}) => ({
  model,
  layers: [1],
  text: TEXT,
  tokensPerUnit: 5,
  threshold: 1,
  relative: true,
  ...settings,
})
const EIGEN = { values: Float64Array.of(1, 2, 9), vectors: Float64Array.of(1, 0, 0, 0, 0.6, 0.8, 0, 0.8, -0.6) }
const GRAM = { layer: 3, gram: { size: 3, sum: new Float64Array(), tokens: 7 } }

/** P as a matrix [F, F], a row a unit vector's image. */
function matrixOf(space: NullSpace): Float64Array {
  const { size } = space
  return projectToNullSpace(
    space,
    Float64Array.from({ length: size * size }, (_, at) => (Math.floor(at / size) === at % size ? 1 : 0)),
  )
}

test('by hand: of the eigenvalues 1, 2 and 9 two lie below their mean, 4, with a quarter of what text has', () => {
  const space = cutNullSpace(GRAM, EIGEN, { threshold: 1, relative: true })
  expect(space).toMatchObject({
    layer: 3,
    size: 3,
    tokens: 7,
    meanSquare: 12,
    directions: 2,
    share: 0.25,
    spans: 'the rest',
  })
  expectClose(projectToNullSpace(space, Float64Array.of(5, 0.8, -0.6)), [5, 0, 0], F64)
  expectClose(projectToNullSpace(space, Float64Array.of(0, 3, 4, 1, 0, 0)), [0, 3, 4, 1, 0, 0], F64)
})

test('a threshold that is a number for one model is taken as it is', () => {
  const space = cutNullSpace(GRAM, EIGEN, { threshold: 1.5, relative: false })
  expect(space).toMatchObject({ directions: 1, spans: 'null space' })
  expectClose(projectToNullSpace(space, Float64Array.of(5, 1, 2)), [5, 0, 0], F64)
})

test.each([
  ['none below', 0.125],
  ['all below', 10],
])('%s the threshold is refused', (_, threshold) => {
  const cut = () => cutNullSpace(GRAM, EIGEN, { threshold, relative: true })
  expect(cut).toThrow(
    expect.objectContaining({ code: 'E_NULL_SPACE', values: { layer: 3, limit: threshold * 4, least: 1, most: 9 } }),
  )
})

describe.each([0.1, 1])('of a model, with the threshold at %d of the mean eigenvalue', (threshold) => {
  test('P is a projection: P² = P = Pᵀ, of the rank it says, and C keeps the share it says within it', async () => {
    const [space] = await prepareNullSpaces(job({ threshold }), testContext())
    if (space === undefined) throw new Error('no null space')
    const { size, directions } = space
    const p = matrixOf(space)
    expectClose(projectToNullSpace(space, p), p, F64, 'P²')
    expectClose(
      p.map((_, at) => p[(at % size) * size + Math.floor(at / size)] ?? 0),
      p,
      F64,
      'Pᵀ',
    )
    expect(directions).toBeGreaterThan(0)
    expect(directions).toBeLessThan(size)
    expect(p.reduce((sum, value, at) => sum + (Math.floor(at / size) === at % size ? value : 0), 0)).toBeCloseTo(
      directions,
      9,
    )
    const [sums] = await gatherGrams(job(), testContext())
    const matrix = sums === undefined ? new Float64Array() : averageGram(sums.gram).matrix
    expect(dot(matrix, p) / space.meanSquare).toBeCloseTo(space.share, 9)
    expect(norm(p)).toBeCloseTo(Math.sqrt(directions), 9)
  })
})

test('eigenvectors of another size than the sums count as absent', async () => {
  const ctx = testContext()
  const first = await prepareNullSpaces(job(), ctx)
  const [name = ''] = readdirSync(ctx.cacheDir).filter((one) => one.startsWith('eigen-'))
  const file = join(ctx.cacheDir, name)
  const [header = ''] = readFileSync(file, 'latin1').split('\n', 1)
  const arrays = { values: new Float64Array(2), vectors: new Float64Array(4) }
  await writeArrayFile(file, JSON.parse(header).key, { values: {}, arrays })
  expect(await prepareNullSpaces(job(), ctx)).toEqual(first)
})

test('eigenvectors are made once for a model, a layer and a text', async () => {
  const events: ProgressEvent[] = []
  const ctx = testContext({ progress: (event) => events.push(event) })
  const first = await prepareNullSpaces(job({ layers: [0, 1] }), ctx)
  expect(readdirSync(ctx.cacheDir).filter((name) => name.startsWith('eigen-'))).toHaveLength(2)
  expect(await prepareNullSpaces(job({ layers: [0, 1] }), ctx)).toEqual(first)
  const other = await prepareNullSpaces(job({ layers: [0, 1], threshold: 0.3 }), ctx)
  expect(other[0]?.directions).toBeLessThan(first[0]?.directions ?? 0)
  expect(readdirSync(ctx.cacheDir)).toHaveLength(4)
})
