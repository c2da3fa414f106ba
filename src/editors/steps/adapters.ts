/** Pairs of narrow matrices beside weights, as they start: together they change nothing. */
import type { Footprint } from '../../models/footprint.ts'
import type { LanguageModel, WeightRole } from '../../models/model.ts'
import type { Factors } from '../../models/patch.ts'
import type { Random } from '../../tensor/random.ts'
import { tensor, zeros } from '../../tensor/tensor.ts'

/** The matrices of each choice of modules, in each layer. */
export const ADAPTED_MODULES: Readonly<Record<string, readonly WeightRole[]>> = {
  attention: ['attention-query', 'attention-value'],
  'feed-forward': ['mlp-up', 'mlp-down'],
  up: ['mlp-up'],
}

/** Which matrices are adapted, and how. */
export interface AdapterSettings {
  readonly modules: string
  readonly rank: number
  /** Default: all. */
  readonly layers?: readonly number[]
}

/** How adapters start. */
export interface AdapterStart extends AdapterSettings {
  /** How far the numbers of left factors lie from 0 at most. Default: 1/√in. */
  readonly reach?: number
}

/**
 * Adapters as they start, by the names of their weights: left [in, r] uniform within their reach, right [r, out] zero (Hu et al. 2022, §4.1).
 */
export function openAdapters(
  model: LanguageModel,
  { modules, rank, layers = listLayers(model), reach }: AdapterStart,
  random: Random,
): Readonly<Record<string, Factors>> {
  const roles = ADAPTED_MODULES[modules] ?? []
  const names = new Set(layers.flatMap((layer) => roles.map((role) => model.weightName(role, layer))))
  return Object.fromEntries(
    [...names].map((name) => {
      const [into, out] = model.weightShape(name)
      // As `nn.Linear` starts and PEFT does; the paper draws from a normal distribution.
      const draw = () => (2 * random.uniform() - 1) * (reach ?? 1 / Math.sqrt(into))
      return [
        name,
        { left: tensor(Float32Array.from({ length: into * rank }, draw), [into, rank]), right: zeros([rank, out]) },
      ]
    }),
  )
}

function listLayers({ config }: Pick<Footprint, 'config'>): number[] {
  return Array.from({ length: config.layers }, (_, layer) => layer)
}

/** Rows and columns of an adapted matrix, at most: in widths of the model, where one projection makes queries, keys and values. */
const FUSED_WIDTHS = 4

/** What such adapters take, in bytes. */
export function adapterBytes(
  { config }: Footprint,
  { modules, rank, layers = listLayers({ config }) }: AdapterSettings,
): number {
  const { width, mlpWidth } = config
  const matrices = layers.length * (ADAPTED_MODULES[modules]?.length ?? 0)
  return matrices * rank * (width + Math.max(mlpWidth, FUSED_WIDTHS * width)) * Float32Array.BYTES_PER_ELEMENT
}
