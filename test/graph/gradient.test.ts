import { expect, test } from 'vitest'
import { gradient } from '../../src/graph/gradient.ts'
import { constant, input } from '../../src/graph/graph.ts'
import { silu } from '../../src/graph/ops/elementwise.ts'
import { matmul } from '../../src/graph/ops/matmul.ts'
import { logSoftmax, rmsNorm } from '../../src/graph/ops/normalize.ts'
import { sum } from '../../src/graph/ops/reduce.ts'
import { gatherPairs, gatherRows } from '../../src/graph/ops/rows.ts'
import { reshape } from '../../src/graph/ops/shape.ts'
import { Session } from '../../src/graph/session.ts'

const f64 = (values: number[], shape: number[]) => ({
  dtype: 'float64' as const,
  shape,
  data: Float64Array.from(values),
})
const i64 = (values: number[], shape: number[]) => ({
  dtype: 'int64' as const,
  shape,
  data: BigInt64Array.from(values, BigInt),
})

test('agrees with central differences through a small network, rows and targets picked twice', async () => {
  const x = input('x', ['N', 3], 'float64')
  const w = input('w', [3, 4], 'float64')
  const scale = constant(Float64Array.of(1, 2, 0.5), [3], 'float64')
  const rows = gatherRows(silu(matmul(scaleNorm(x, scale), w)), input('rows', ['R'], 'int64'))
  const picked = gatherPairs(logSoftmax(rows), input('pairs', ['M', 2], 'int64'))
  const loss = reshape(sum(picked, [0]), [])
  const [dx, dw] = gradient(loss, [x, w])
  if (dx === undefined || dw === undefined) throw new Error('no gradients')
  const session = await Session.create({ loss, dx, dw })
  const xs = [0.3, -1.2, 0.7, 0.1, 0.9, -0.4]
  const ws = Array.from({ length: 12 }, (_, i) => Math.sin(i + 1))
  const at = async (xValues: number[], wValues: number[]) =>
    session.run({
      x: f64(xValues, [2, 3]),
      w: f64(wValues, [3, 4]),
      rows: i64([1, 0, 1], [3]),
      pairs: i64([0, 2, 1, 1, 2, 2, 0, 3], [4, 2]),
    })
  const exact = await at(xs, ws)
  const h = 1e-6
  const differ = async (values: number[], i: number, run: (v: number[]) => ReturnType<typeof at>) => {
    const moved = (by: number) => values.map((v, j) => (j === i ? v + by : v))
    const up = Number((await run(moved(h))).loss?.data[0])
    const down = Number((await run(moved(-h))).loss?.data[0])
    return (up - down) / (2 * h)
  }
  for (let i = 0; i < xs.length; i++) {
    expect(Number(exact.dx?.data[i])).toBeCloseTo(await differ(xs, i, (v) => at(v, ws)), 7)
  }
  for (let i = 0; i < ws.length; i++) {
    expect(Number(exact.dw?.data[i])).toBeCloseTo(await differ(ws, i, (v) => at(xs, v)), 7)
  }
  await session.release()
})

function scaleNorm(x: ReturnType<typeof input>, scale: ReturnType<typeof constant>) {
  return rmsNorm(x, scale, 1e-5)
}
