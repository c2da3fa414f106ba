/**
 * Units beside those of a feed-forward, in a graph: `act(x·input + biases)·output`, x what the feed-forward takes in. Their
 * arrays are fed, their number is a symbol: one session serves all numbers of units.
 */
import { input, type Node } from '../graph/graph.ts'
import { add, gelu, geluTanh, relu, silu } from '../graph/ops/elementwise.ts'
import { matmul } from '../graph/ops/matmul.ts'
import type { AnyTensor } from '../graph/session.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { RunRequest } from './model.ts'
import type { UnitActivation, Units } from './patch.ts'

/** The inputs for some units: input [D, n], biases [n], output [n, D]. */
export interface UnitNodes {
  readonly activation: UnitActivation
  readonly input: Node
  readonly biases: Node
  readonly output: Node
}

const ACTIVATIONS: Readonly<Record<UnitActivation, (x: Node) => Node>> = { relu, gelu, 'gelu-tanh': geluTanh, silu }

/** What units make of the feed-forward's input x: [N, D] → [N, D]. */
export function answerOf({ activation, input, biases, output }: UnitNodes, x: Node): Node {
  return matmul(ACTIVATIONS[activation](add(matmul(x, input), biases)), output)
}

/** Inputs for the units that patches have at a layer of width D. */
export function mergedUnitInputs(patch: MergedPatch, layer: number, width: number): UnitNodes[] {
  return (patch.neurons.get(layer) ?? []).map((units) => unitNodes(mergedName(layer, units), units, width))
}

/** What those inputs are fed, of all layers. */
export function mergedUnitFeeds(patch: MergedPatch): Record<string, AnyTensor> {
  const feeds: Record<string, AnyTensor> = {}
  for (const [layer, all] of patch.neurons) {
    for (const units of all) Object.assign(feeds, feedsOf(mergedName(layer, units), units))
  }
  return feeds
}

/** Inputs for the units that a request adds to feed-forwards of width D, by layer. */
export function addedUnitInputs(added: RunRequest['neurons'] = {}, width: number): Map<number, UnitNodes> {
  return new Map(
    Object.entries(added).map(([layer, units]) => [Number(layer), unitNodes(addedName(layer), units, width)]),
  )
}

/** What those inputs are fed. */
export function addedUnitFeeds(added: RunRequest['neurons'] = {}): Record<string, AnyTensor> {
  const feeds: Record<string, AnyTensor> = {}
  for (const [layer, units] of Object.entries(added)) Object.assign(feeds, feedsOf(addedName(layer), units))
  return feeds
}

function mergedName(layer: number, { activation }: Pick<Units, 'activation'>): string {
  return `units ${layer} ${activation}`
}

function addedName(layer: string): string {
  return `added units ${layer}`
}

function unitNodes(name: string, { activation }: Pick<Units, 'activation'>, width: number): UnitNodes {
  const size = `size(${name})`
  return {
    activation,
    input: input(`input of ${name}`, [width, size]),
    biases: input(`biases of ${name}`, [size]),
    output: input(`output of ${name}`, [size, width]),
  }
}

function feedsOf(name: string, { input, biases, output }: Units): Record<string, AnyTensor> {
  return { [`input of ${name}`]: input, [`biases of ${name}`]: biases, [`output of ${name}`]: output }
}
