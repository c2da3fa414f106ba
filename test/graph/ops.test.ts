/**
 * Every row of the op table, four ways: its value and gradients against PyTorch's (tools/golden/ops.py), its gradients
 * against central differences in float64, and its declared shape against what the runtime returns.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { gradient } from '../../src/graph/gradient.ts'
import { evaluateDim, input, makeNode, type Node, type Shape } from '../../src/graph/graph.ts'
import { type Grouped, groupedAttention, type RotaryPairs, rotary } from '../../src/graph/ops/attention.ts'
import * as elementwise from '../../src/graph/ops/elementwise.ts'
import { OPS } from '../../src/graph/ops/index.ts'
import { matmul } from '../../src/graph/ops/matmul.ts'
import { layerNorm, logSoftmax, rmsNorm, softmax } from '../../src/graph/ops/normalize.ts'
import { argmax, broadcastTo, DROP_LEADING, sum } from '../../src/graph/ops/reduce.ts'
import { ADD_PAIRS, addRows, gatherPairs, gatherRows, replaceRows, ZEROS_LIKE } from '../../src/graph/ops/rows.ts'
import { lessOrEqual, topK, where } from '../../src/graph/ops/select.ts'
import { concat, PAD, part, reshape, slice, transpose, WIDEN } from '../../src/graph/ops/shape.ts'
import { type AnyTensor, Session } from '../../src/graph/session.ts'
import type { DType } from '../../src/tensor/tensor.ts'
import { expectClose } from '../support/close.ts'

// Goldens are float64 results rounded to float32; the runtime computes in float32, a few roundings a value.
const F32_FORWARD = { relative: 2e-6, absolute: 1e-7 }
const F32_GRADIENT = { relative: 5e-6, absolute: 1e-7 }
// Half a float32 rounding of the golden itself.
const F64_GRADIENT = { relative: 1e-7, absolute: 1e-9 }
// Step h of a central difference: truncation h²·f‴/6 and rounding 2e-16·|f|/h are both near 1e-9.
const STEP = 1e-5
const CENTRAL_DIFFERENCE = { relative: 1e-7, absolute: 3e-8 }

interface StoredTensor {
  dtype: 'float32' | 'int64' | 'int32' | 'bool'
  shape: number[]
  data: (number | boolean)[]
}

interface GoldenRow {
  op: string
  title: string
  attributes: Record<string, unknown>
  inputs: StoredTensor[]
  outputs: StoredTensor[]
  dims?: Shape[]
  symbols?: Record<string, number>
  upstream?: number[]
  gradients?: (number[] | null)[]
}

const ROWS: GoldenRow[] = JSON.parse(readFileSync(new URL('../golden/ops.json', import.meta.url), 'utf8')).rows
const TITLED = ROWS.map((row): [string, GoldenRow] => [`${row.op}: ${row.title}`, row])

type Build = (inputs: readonly Node[], attributes: Record<string, unknown>) => readonly Node[]

const one =
  (build: (...inputs: Node[]) => Node): Build =>
  (inputs) => [build(...inputs)]

/** How each golden row is built; several values where the operation has several. */
const BUILDERS: Record<string, Build> = {
  add: one(elementwise.add),
  subtract: one(elementwise.subtract),
  multiply: one(elementwise.multiply),
  divide: one(elementwise.divide),
  negate: one(elementwise.negate),
  exp: one(elementwise.exp),
  log: one(elementwise.log),
  sqrt: one(elementwise.sqrt),
  sigmoid: one(elementwise.sigmoid),
  silu: one(elementwise.silu),
  tanh: one(elementwise.tanh),
  relu: one(elementwise.relu),
  sign: one((x) => makeNode(elementwise.SIGN, [x], {})),
  erf: one((x) => makeNode(elementwise.ERF, [x], {})),
  gelu: one(elementwise.gelu),
  'gelu-tanh': one(elementwise.geluTanh),
  'mean-last': one(elementwise.meanLast),
  matmul: ([a, b], { transpose: t, scale }) => [matmul(node(a), node(b), t as '' | 'a' | 'b' | 'ab', Number(scale))],
  softmax: one(softmax),
  'log-softmax': one(logSoftmax),
  'rms-norm': ([x, w], { epsilon }) => [rmsNorm(node(x), node(w), Number(epsilon))],
  'layer-norm': ([x, w, b], { epsilon }) => [layerNorm(node(x), node(w), node(b), Number(epsilon))],
  rotary: ([x, cos, sin], { pairs }) => [rotary(node(x), node(cos), node(sin), pairs as RotaryPairs)],
  'grouped-attention': (inputs, settings) => {
    const [q, k, v, pastKeys, pastValues, lastPosition, total] = inputs.slice(0, 7).map(node)
    const [cos, sin] = inputs.slice(7)
    const angles = cos && sin ? { angles: { cos, sin } } : {}
    const named = { q, k, v, pastKeys, pastValues, lastPosition, total, ...angles }
    const { output, keys, values } = groupedAttention(
      named as Parameters<typeof groupedAttention>[0],
      settings as Grouped,
    )
    return [output, keys, values]
  },
  sum: ([x], { axes }) => [sum(node(x), axes as number[])],
  broadcast: ([x], { shape }) => [broadcastTo(node(x), shape as Shape)],
  'drop-leading': ([x], { count }) => [makeNode(DROP_LEADING, [node(x)], { count: Number(count) })],
  argmax: one(argmax),
  reshape: ([x], { shape }) => [reshape(node(x), shape as Shape)],
  transpose: ([x], { order }) => [transpose(node(x), order as number[])],
  concat: ([a, b], { axis, size }) => [concat(node(a), node(b), Number(axis), size as number | string)],
  slice: ([x], { axis, from, to }) => [slice(node(x), Number(axis), Number(from), Number(to))],
  pad: ([x], attributes) => [makeNode(PAD, [node(x)], attributes as { axis: number; before: number; after: number })],
  part: ([x, like], { axis, end }) => [part(node(x), node(like), Number(axis), end as 'start' | 'end')],
  widen: ([x, like], attributes) => [
    makeNode(WIDEN, [node(x), node(like)], attributes as { axis: number; end: 'start' | 'end' }),
  ],
  'gather-rows': one(gatherRows),
  'add-rows': one(addRows),
  'replace-rows': one(replaceRows),
  'gather-pairs': one(gatherPairs),
  'add-pairs': (inputs) => [makeNode(ADD_PAIRS, inputs, {})],
  'zeros-like': (inputs) => [makeNode(ZEROS_LIKE, inputs, {})],
  'less-or-equal': one(lessOrEqual),
  where: one(where),
  'top-k': ([x], { k }) => {
    const { values, indices } = topK(node(x), Number(k))
    return [values, indices]
  },
}

function node(found: Node | undefined): Node {
  if (found === undefined) throw new Error('the golden row has too few inputs')
  return found
}

function feed(stored: StoredTensor, float: 'float32' | 'float64'): AnyTensor {
  const { shape } = stored
  // The file holds the shortest decimals of float32 numbers: rounding gives back the very numbers PyTorch was given.
  const values = stored.data.map((value) => Math.fround(Number(value)))
  if (stored.dtype === 'float32') {
    return float === 'float32'
      ? { dtype: float, shape, data: Float32Array.from(values) }
      : { dtype: float, shape, data: Float64Array.from(values) }
  }
  if (stored.dtype === 'int64') return { dtype: 'int64', shape, data: BigInt64Array.from(values, BigInt) }
  if (stored.dtype === 'int32') return { dtype: 'int32', shape, data: Int32Array.from(values) }
  return { dtype: 'bool', shape, data: Uint8Array.from(values) }
}

interface Compiled {
  readonly outputs: readonly Node[]
  readonly gradients: readonly (Node | null)[]
  readonly session: Session
  readonly feeds: Record<string, AnyTensor>
}

/** Builds a row's graph, with the gradients it has, in the given element type and with known or symbolic sizes. */
async function compile(row: GoldenRow, float: 'float32' | 'float64', symbolic: boolean): Promise<Compiled> {
  const feeds: Record<string, AnyTensor> = {}
  const inputs = row.inputs.map((stored, i) => {
    const dtype: DType = stored.dtype === 'float32' ? float : stored.dtype
    feeds[`x${i}`] = feed(stored, float)
    return input(`x${i}`, (symbolic ? row.dims?.[i] : undefined) ?? stored.shape, dtype)
  })
  // A size that only an output has (`broadcast` to N) is bound by a further input that is fed but not used.
  row.dims?.slice(row.inputs.length).forEach((dims) => {
    inputs.push(input('like', dims, float))
  })
  const attributes = symbolic ? row.attributes : evaluateAttributes(row)
  const outputs = BUILDERS[row.op]?.(inputs.slice(0, row.inputs.length), attributes) ?? []
  const wanted: Record<string, Node> = Object.fromEntries(outputs.map((output, i) => [`y${i}`, output]))
  const gradients: (Node | null)[] = []
  if (row.gradients !== undefined) {
    const upstream = input('upstream', outputs[0]?.shape ?? [], float)
    feeds.upstream = feed({ dtype: 'float32', shape: row.outputs[0]?.shape ?? [], data: row.upstream ?? [] }, float)
    const varied = inputs.filter((_, i) => row.gradients?.[i] != null)
    const made = gradient(node(outputs[0]), varied, upstream)
    row.gradients.forEach((golden, i) => {
      const found = golden === null ? null : node(made[varied.indexOf(node(inputs[i]))])
      gradients.push(found)
      if (found !== null) wanted[`dx${i}`] = found
    })
  }
  return { outputs, gradients, session: await Session.create(wanted, { threads: 1 }), feeds }
}

/** Symbols inside attributes (the shape of a reshape, the joint size of a concat) replaced by their values. */
function evaluateAttributes({ attributes, symbols }: GoldenRow): Record<string, unknown> {
  const known = new Map(Object.entries(symbols ?? {}))
  const { shape, size } = attributes
  return {
    ...attributes,
    ...(Array.isArray(shape) ? { shape: shape.map((dim) => evaluateDim(dim, known)) } : {}),
    ...(typeof size === 'string' ? { size: evaluateDim(size, known) } : {}),
  }
}

function expectShapes({ outputs, gradients }: Compiled, row: GoldenRow, results: Record<string, AnyTensor>): void {
  const symbols = new Map(Object.entries(row.symbols ?? {}))
  const declared = (from: Node) => from.shape.map((dim) => evaluateDim(dim, symbols))
  outputs.forEach((output, i) => {
    expect(results[`y${i}`]?.shape).toEqual(row.outputs[i]?.shape)
    expect(declared(output), 'declared shape').toEqual(results[`y${i}`]?.shape)
    expect(results[`y${i}`]?.dtype).toBe(output.dtype)
  })
  gradients.forEach((found, i) => {
    if (found === null) return
    expect(results[`dx${i}`]?.shape).toEqual(row.inputs[i]?.shape)
    expect(declared(found), 'declared shape of a gradient').toEqual(row.inputs[i]?.shape)
  })
}

const SYMBOLIC = TITLED.filter(([, row]) => row.dims !== undefined)
// The runtime has no 64-bit form of what is marked `single`: there PyTorch's gradients stand alone.
const DIFFERENTIABLE = TITLED.filter(([, { gradients, attributes }]) => gradients !== undefined && !attributes.single)

test.each(TITLED)('%s: value, shape and gradients as PyTorch has them', async (_, row) => {
  await checkAgainstGolden(row, false)
})

test.each(SYMBOLIC)('%s: the same with sizes known only when run', async (_, row) => {
  await checkAgainstGolden(row, true)
})

async function checkAgainstGolden(row: GoldenRow, symbolic: boolean): Promise<void> {
  const compiled = await compile(row, 'float32', symbolic)
  const results = await compiled.session.run(compiled.feeds)
  await compiled.session.release()
  expectShapes(compiled, row, results)
  row.outputs.forEach((output, i) => {
    expectClose(results[`y${i}`]?.data, output.data, F32_FORWARD, `value ${i}`)
  })
  row.gradients?.forEach((golden, i) => {
    if (golden !== null) expectClose(results[`dx${i}`]?.data, golden, F32_GRADIENT, `gradient ${i}`)
  })
}

test.each(DIFFERENTIABLE)('%s: gradients as central differences in float64', async (_, row) => {
  const { session, feeds } = await compile(row, 'float64', false)
  const exact = await session.run(feeds)
  const weighted = async (): Promise<number> => {
    const y = (await session.run(feeds, { wanted: ['y0'] })).y0?.data ?? []
    return (row.upstream ?? []).reduce((total, weight, i) => total + weight * Number(y[i]), 0)
  }
  for (const [i, golden] of (row.gradients ?? []).entries()) {
    const x = feeds[`x${i}`]
    if (golden === null || x?.dtype !== 'float64') continue
    const differences: number[] = []
    for (let j = 0; j < x.data.length; j++) {
      const kept = x.data[j] ?? 0
      x.data[j] = kept + STEP
      const up = await weighted()
      x.data[j] = kept - STEP
      const down = await weighted()
      x.data[j] = kept
      differences.push((up - down) / (2 * STEP))
    }
    expectClose(exact[`dx${i}`]?.data, differences, CENTRAL_DIFFERENCE, `gradient ${i}`)
    expectClose(exact[`dx${i}`]?.data, golden, F64_GRADIENT, `gradient ${i} in float64`)
  }
  await session.release()
})

test('every op has a golden row, and a gradient there unless it says why not', () => {
  for (const op of OPS) {
    const rows = ROWS.filter((row) => row.op === op.name)
    expect(rows.length, op.name).toBeGreaterThan(0)
    expect(
      rows.some((row) => row.gradients !== undefined),
      `${op.name}: ${op.noGradient}`,
    ).toBe(op.noGradient === undefined)
    expect(op.gradient === undefined, op.name).toBe(op.noGradient !== undefined)
  }
})
