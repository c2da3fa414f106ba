/** Matrix products. */
import { checkShape, formatShape, makeNode, type Node, type Op, times } from '../graph.ts'
import { CONTRIBUTED } from '../onnx.ts'

/** Settings of a product: transpose either matrix (the last two axes), scale the result. */
type Product = { transposeA: boolean; transposeB: boolean; scale: number }

/** `scale · op(a) · op(b)` over the last two axes; leading axes must be equal. */
export const MATMUL: Op<Product> = {
  name: 'matmul',
  shape: ([a, b], { transposeA, transposeB }) => {
    const left = a?.shape ?? []
    const right = b?.shape ?? []
    const [rows, innerA] = transposeA ? [left.at(-1), left.at(-2)] : [left.at(-2), left.at(-1)]
    const [innerB, columns] = transposeB ? [right.at(-1), right.at(-2)] : [right.at(-2), right.at(-1)]
    const batches = times(...left.slice(0, -2)) === times(...right.slice(0, -2))
    const message = `inner sizes differ, got ${formatShape(left)} · ${formatShape(right)}; did you mean the transpose?`
    checkShape(innerA !== undefined && innerA === innerB && batches, 'matmul', message)
    return [...left.slice(0, -2), rows ?? 0, columns ?? 0]
  },
  emit: (emitter, [a, b], node) => {
    const { transposeA, transposeB, scale } = node.attributes
    const inputs = [a ?? '', b ?? '']
    const flags = { transA: Number(transposeA), transB: Number(transposeB) }
    if (node.shape.length === 2) return emitter.node('Gemm', inputs, { ...flags, alpha: { float: scale } })
    if (node.dtype === 'float32')
      return emitter.node('FusedMatMul', inputs, { ...flags, alpha: { float: scale } }, CONTRIBUTED)
    // The fused product exists in 32 bit only; this form serves gradient checks in 64 bit.
    const axes = node.shape.map((_, axis) => axis)
    const swapped = [...axes.slice(0, -2), axes.length - 1, axes.length - 2]
    const [left, right] = inputs.map((x, i) =>
      (i === 0 ? transposeA : transposeB) ? emitter.node('Transpose', [x], { perm: swapped }) : x,
    )
    return emitter.node('Mul', [emitter.node('MatMul', [left ?? '', right ?? '']), emitter.scalar(scale, node.dtype)])
  },
  // With C = s·A·B: dA = s·dC·Bᵀ, dB = s·Aᵀ·dC; the transposed forms follow by transposing both sides.
  gradient: ({ inputs: [a, b], attributes }, upstream) => {
    if (a === undefined || b === undefined) return []
    const { transposeA, transposeB, scale } = attributes
    const product = (x: Node, y: Node, transposeX: boolean, transposeY: boolean) =>
      makeNode(MATMUL, [x, y], { transposeA: transposeX, transposeB: transposeY, scale })
    return [
      transposeA ? product(b, upstream, transposeB, true) : product(upstream, b, false, !transposeB),
      transposeB ? product(upstream, a, true, transposeA) : product(a, upstream, !transposeA, false),
    ]
  },
}

/** `scale · op(a) · op(b)`; `transpose` names the matrices to be transposed. */
export function matmul(a: Node, b: Node, transpose: '' | 'a' | 'b' | 'ab' = '', scale = 1): Node {
  const settings = { transposeA: transpose.includes('a'), transposeB: transpose.includes('b'), scale }
  return makeNode(MATMUL, [a, b], settings)
}
