/**
 * The weights that a network uses, with their shapes as stored: found by building its graph once and noting what it asks
 * for. So an architecture says each weight's name and shape in one place, where it is used.
 */
import { input, type Node } from '../graph/graph.ts'
import type { Network, Scope } from './architecture.ts'
import { runLayers, TOKENS } from './scope.ts'

/** Every weight of a network by name, with its shape as stored. */
export function declaredWeights(network: Network): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>()
  const { heads, headWidth } = network.config
  const weight = (name: string, shape: readonly number[]): Node => {
    shapes.set(name, shape)
    return input(name, shape)
  }
  let encoded = input('encoded', [TOKENS, network.config.width])
  const scope: Scope & { endEncoder(made: Node): void } = {
    weight,
    linear(x, name, out, bias = false) {
      const into = Number(x.shape[1])
      weight(`${name}.weight`, network.stored === 'out-in' ? [out, into] : [into, out])
      if (bias) weight(`${name}.bias`, [out])
      return input('linear', [x.shape[0] ?? TOKENS, out])
    },
    positions: () => input('positions', [TOKENS], 'int64'),
    encoded: () => encoded,
    endEncoder(made) {
      encoded = made
    },
    site: (_kind, _layer, value) => value,
    attention: (_layer, { q }) => input('attended', [q.shape[0] ?? TOKENS, heads * headWidth]),
  }
  network.head(scope, runLayers(network, scope))
  return shapes
}
