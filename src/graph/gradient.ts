/**
 * Reverse mode: from a graph to the graph of its gradients. Each op row gives its vector-Jacobian product as further
 * nodes, so the backward pass is compiled, fused and run like any other graph.
 */
import { WhicheditError } from '../errors.ts'
import { constant, type Node, nodesOf } from './graph.ts'
import { add } from './ops/elementwise.ts'

/**
 * The gradients of a scalar with respect to some of the nodes it is computed from.
 * Only what lies between the two is walked: what does not depend on `wrt` costs nothing.
 * @param seed gradient of the result itself; default 1.
 * @throws E_INTERNAL for a node the loss does not depend on, or an op without gradient on the way.
 */
export function gradient(loss: Node, wrt: readonly Node[], seed?: Node): Node[] {
  const dependent = new Set<Node>(wrt)
  const order = nodesOf([loss])
  for (const node of order) if (node.inputs.some((from) => dependent.has(from))) dependent.add(node)

  const gradients = new Map<Node, Node>([[loss, seed ?? one(loss)]])
  for (const node of order.reverse()) {
    const upstream = gradients.get(node)
    if (upstream === undefined || !dependent.has(node) || node.inputs.length === 0) continue
    if (!node.inputs.some((from) => dependent.has(from))) continue
    if (node.op.gradient === undefined) {
      throw new WhicheditError('E_INTERNAL', { what: `${node.op.name} has no gradient: ${node.op.noGradient}` })
    }
    const products = node.op.gradient(node, upstream)
    node.inputs.forEach((from, i) => {
      const product = products[i]
      if (!dependent.has(from) || product === null || product === undefined) return
      const sum = gradients.get(from)
      gradients.set(from, sum === undefined ? product : add(sum, product))
    })
  }
  return wrt.map((node) => {
    const found = gradients.get(node)
    if (found === undefined)
      throw new WhicheditError('E_INTERNAL', { what: 'the loss does not depend on a node asked for' })
    return found
  })
}

function one(loss: Node): Node {
  return loss.dtype === 'float64'
    ? constant(Float64Array.of(1), [], 'float64')
    : constant(Float32Array.of(1), [], 'float32')
}
