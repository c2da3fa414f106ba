/**
 * The weights that a network uses, with their shapes as stored: found by building its graph once and noting what it asks
 * for. So an architecture says each weight's name and shape in one place, where it is used.
 */
import { WhicheditError } from '../errors.ts'
import { input, type Node } from '../graph/graph.ts'
import type { Architecture, Layers, Network, Scope } from './architecture.ts'
import { runLayers, TOKENS } from './scope.ts'

/** Every weight of a network by name, with its shape as stored. */
export function declaredWeights(network: Layers | Network): ReadonlyMap<string, readonly number[]> {
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
    positions: ({ shape }) => input('positions', shape, 'int64'),
    encoded: () => encoded,
    endEncoder(made) {
      encoded = made
    },
    site: (_kind, _layer, value) => value,
    attention: (_layer, { q }) => input('attended', [q.shape[0] ?? TOKENS, heads * headWidth]),
  }
  const isEncoder = network.config.layers === network.config.encoderLayers
  const x = runLayers(network, scope, isEncoder ? { part: 'encoder' } : {})
  if ('head' in network) network.head(scope, x)
  return shapes
}

/**
 * The weights of files under the names that a network has for them. Checkpoints of a bare model leave out what the names
 * begin with, those of a model with more parts put something before them.
 * @throws E_WEIGHT, E_SHAPE where one that the network uses is missing or has another shape.
 */
export function matchWeights<W extends { readonly shape: readonly number[] }>(
  network: Layers | Network,
  files: ReadonlyMap<string, W>,
  { prefix = '', rename = (name) => name }: Pick<Architecture, 'prefix' | 'rename'>,
): ReadonlyMap<string, W> {
  const named = new Map([...files].map(([name, weight]) => [rename(name), weight]))
  const isWhole = [...named.keys()].some((name) => name.startsWith(prefix))
  const weights = isWhole ? named : new Map([...named].map(([name, weight]) => [prefix + name, weight]))
  for (const [name, shape] of declaredWeights(network)) {
    const found = weights.get(name)
    if (found === undefined) throw new WhicheditError('E_WEIGHT', { name })
    if (found.shape.join() !== shape.join()) {
      const what = `expected [${shape.join(', ')}] by config.json, found [${found.shape.join(', ')}]`
      throw new WhicheditError('E_SHAPE', { where: name, what })
    }
  }
  return weights
}
