/** The feed-forward matrices of a model's last blocks: what hypernetworks edit. */
import type { LanguageModel, ModelConfig, WeightRole } from '../../models/model.ts'

/** A weight to be edited. */
export interface EditedWeight {
  readonly name: string
  /** [in, out] */
  readonly shape: readonly [number, number]
}

/** In the order of a layer's own computation. */
const ROLES: readonly WeightRole[] = ['mlp-gate', 'mlp-up', 'mlp-down']

/** The last so many layers, or all of fewer; of an encoder-decoder so many of each stack. */
export function lastLayers(
  { layers, encoderLayers }: Pick<ModelConfig, 'layers' | 'encoderLayers'>,
  blocks: number,
): number[] {
  const isLast = (layer: number) =>
    layer >= layers - blocks || (layer < encoderLayers && layer >= encoderLayers - blocks)
  const inStack = (layer: number) => layer < encoderLayers || layer >= Math.max(encoderLayers, layers - blocks)
  return Array.from({ length: layers }, (_, layer) => layer).filter((layer) => isLast(layer) && inStack(layer))
}

/** Their feed-forward matrices, layer by layer. One that serves as gate and as up-projection is one. */
export function feedForwardWeights(model: LanguageModel, layers: readonly number[]): EditedWeight[] {
  const names = layers.flatMap((layer) =>
    ROLES.filter((role) => model.hasWeight(role, layer)).map((role) => model.weightName(role, layer)),
  )
  return [...new Set(names)].map((name) => ({ name, shape: model.weightShape(name) }))
}
