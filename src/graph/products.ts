/** The runtime's float64 product behind the blocked factorisation of `tensor/linalg.ts`. */
import type { MultiplyInto } from '../tensor/linalg.ts'
import { input } from './graph.ts'
import { add } from './ops/elementwise.ts'
import { matmul } from './ops/matmul.ts'
import { Session, type SessionOptions } from './session.ts'

/** A product that owns native memory until it is closed. */
export interface NativeProduct {
  readonly multiplyInto: MultiplyInto
  close(): Promise<void>
}

/** Opens `c − aᵀ·b` in float64 for matrices of any size. */
export async function openNativeProduct(options: SessionOptions = {}): Promise<NativeProduct> {
  const c = input('c', ['m', 'n'], 'float64')
  const a = input('a', ['k', 'm'], 'float64')
  const b = input('b', ['k', 'n'], 'float64')
  const session = await Session.create({ y: add(c, matmul(a, b, 'a', -1)) }, options)
  const multiplyInto: MultiplyInto = async (cData, aData, bData, { k, m, n }) => {
    const { y } = await session.run({
      c: { dtype: 'float64', shape: [m, n], data: cData },
      a: { dtype: 'float64', shape: [k, m], data: aData },
      b: { dtype: 'float64', shape: [k, n], data: bData },
    })
    return y?.dtype === 'float64' ? y.data : cData
  }
  return { multiplyInto, close: () => session.release() }
}
