import { expect, test } from 'vitest'
import { changeByGates, countGates } from '../../../src/editors/steps/gated-change.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'
import { differences } from '../../support/differences.ts'

const WEIGHT = { name: 'w', shape: [3, 2] } as const
const [INTO, OUT] = WEIGHT.shape
const random = createRandom(1)
const draw = (length: number) => Float64Array.from({ length }, () => random.normal())
const GATES = draw(countGates(WEIGHT))
const ROWS = draw(2 * (INTO + OUT))

/** left · right [3, 2] */
function multiplyOut({ left, right }: { readonly left: Tensor; readonly right: Tensor }): Float64Array {
  const rank = left.shape[1] ?? 0
  return Float64Array.from({ length: INTO * OUT }, (_, at) => {
    const [i, j] = [Math.floor(at / OUT), at % OUT]
    let sum = 0
    for (let r = 0; r < rank; r++) sum += (left.data[i * rank + r] ?? 0) * (right.data[r * OUT + j] ?? 0)
    return sum
  })
}

/** s (∇W ⊙ A + B), written out. */
function writeOut(rows: Float64Array, mostScale: number): Float64Array {
  const softmax = (values: Float64Array) => {
    const powers = values.map(Math.exp)
    const sum = powers.reduce((total, power) => total + power, 0)
    return powers.map((power) => power / sum)
  }
  const width = INTO + OUT
  const [a, b] = [GATES.slice(0, INTO), GATES.slice(width, width + INTO)]
  const [rho, pi] = [softmax(GATES.slice(INTO, width)), softmax(GATES.slice(width + INTO, 2 * width))]
  const scale = mostScale / (1 + Math.exp(-(GATES[2 * width] ?? 0)))
  return Float64Array.from({ length: INTO * OUT }, (_, at) => {
    const [i, j] = [Math.floor(at / OUT), at % OUT]
    let gradient = 0
    for (let start = 0; start < rows.length; start += width) {
      gradient += (rows[start + i] ?? 0) * (rows[start + INTO + j] ?? 0)
    }
    return scale * (gradient * (a[i] ?? 0) * (rho[j] ?? 0) + (b[i] ?? 0) * (pi[j] ?? 0))
  })
}

test('the factors multiply out to the gradient, scaled and shifted', () => {
  const { factors } = changeByGates({ weight: WEIGHT, rows: ROWS, gates: GATES, mostScale: 0.7 })
  expect(factors.left.shape).toEqual([INTO, 3])
  expectClose(multiplyOut(factors), writeOut(ROWS, 0.7), { relative: 1e-6 })
})

test('of a gradient without rows the shift is left', () => {
  const rows = new Float64Array()
  const { factors } = changeByGates({ weight: WEIGHT, rows, gates: GATES, mostScale: 1 })
  expect(factors.left.shape).toEqual([INTO, 1])
  expectClose(multiplyOut(factors), writeOut(rows, 1), { relative: 1e-6 })
})

test('large gates stay finite', () => {
  const gates = GATES.map((gate) => 1000 * gate)
  const { factors } = changeByGates({ weight: WEIGHT, rows: ROWS, gates, mostScale: 1 })
  expect([...factors.left.data, ...factors.right.data].every(Number.isFinite)).toBe(true)
})

test('the way back is that of central differences', () => {
  const gates = GATES.slice()
  const change = () => changeByGates({ weight: WEIGHT, rows: ROWS, gates, mostScale: 0.7 })
  const slopes = [
    tensor(Float32Array.from(draw(3 * INTO)), [INTO, 3]),
    tensor(Float32Array.from(draw(3 * OUT)), [3, OUT]),
  ] as const
  const weigh = (values: Tensor, by: Tensor) =>
    values.data.reduce((sum, value, i) => sum + value * (by.data[i] ?? 0), 0)
  const loss = () => {
    const { left, right } = change().factors
    return weigh(left, slopes[0]) + weigh(right, slopes[1])
  }
  expectClose(change().back({ left: slopes[0], right: slopes[1] }), differences(gates, loss), { absolute: 1e-4 })
})

test('a slope that is missing is a defect', () => {
  const { factors, back } = changeByGates({ weight: WEIGHT, rows: ROWS, gates: GATES, mostScale: 1 })
  expect(() => back({ left: factors.left })).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }))
})
