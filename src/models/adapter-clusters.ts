/** Which of a patch's adapters a prompt is asked with, and how points leave its clusters. */
import { WhicheditError } from '../errors.ts'
import { norm, subtract } from '../tensor/linalg.ts'
import { rowsOf, type Tensor } from '../tensor/tensor.ts'
import { chunksByLength } from './chunks.ts'
import type { Edits } from './edits.ts'
import type { AdapterCluster, AdapterClustersPart, ClusterPoint } from './patch.ts'
import { type Engine, runRequest } from './run.ts'

/** Tokens of one run: enough to fill the products, little enough memory. */
const KEY_TOKENS = 1024

/**
 * The block that answers each prompt, null for none. It depends on the prompts alone, so that scoring and writing go by the same weights.
 * @throws E_SITE, E_SHAPE for clusters of another model.
 */
export async function chooseBlocks(
  engine: Engine,
  edits: Edits,
  { layer, clusters }: Pick<AdapterClustersPart, 'layer' | 'clusters'>,
  prompts: readonly Int32Array[],
): Promise<(number | null)[]> {
  const { width } = engine.network.config
  const wrong = clusters.find(({ centre }) => centre.data.length !== width)
  if (wrong !== undefined) {
    const what = `expected clusters of keys [${width}], found [${wrong.centre.shape.join(', ')}]`
    throw new WhicheditError('E_SHAPE', { where: `adapter clusters at layer ${layer}`, what })
  }
  const chosen: (number | null)[] = prompts.map(() => null)
  for (const chunk of chunksByLength(prompts, ({ length }) => length, KEY_TOKENS)) {
    const rows = chunk.map(({ item }) => item)
    const at = rows.map(({ length }, row) => ({ row, token: length - 1 }))
    const { reads } = await runRequest(engine, edits, {
      tokens: { rows },
      read: [{ site: `mlp-output.${layer}`, at }],
    })
    const keys = reads[0] === undefined ? [] : rowsOf(reads[0])
    for (const [i, { index }] of chunk.entries()) chosen[index] = keys[i] ? chooseBlock(clusters, keys[i]) : null
  }
  return chosen
}

/** The block of a key [D]: that of the nearest point of the nearest cluster, where its radius reaches so far. */
export function chooseBlock(clusters: readonly AdapterCluster[], key: Tensor): number | null {
  const cluster = findNearest(clusters, ({ centre }) => centre, key)
  if (cluster === null || cluster.distance > cluster.item.radius) return null
  return findNearest(cluster.item.points, (point) => point.key, key)?.item.block ?? null
}

/** What lies nearest to a key, by Euclidean distance, the first among equals; null among none. */
export function findNearest<T>(
  items: readonly T[],
  placeOf: (item: T) => Tensor,
  key: Tensor,
): { readonly item: T; readonly distance: number } | null {
  let nearest: { item: T; distance: number } | null = null
  for (const item of items) {
    const distance = norm(subtract(placeOf(item).data, key.data))
    if (nearest === null || distance < nearest.distance) nearest = { item, distance }
  }
  return nearest
}

/** The clusters without some of their points, centres and radii as they were; one that has no other is gone. */
export function dropPoints(
  clusters: readonly AdapterCluster[],
  isDropped: (point: ClusterPoint) => boolean,
): AdapterCluster[] {
  return clusters.flatMap((cluster) => {
    const points = cluster.points.filter((point) => !isDropped(point))
    return points.length > 0 ? [{ ...cluster, points }] : []
  })
}

/** The same without the blocks that no point names any more. */
export function dropUnusedBlocks(part: AdapterClustersPart): AdapterClustersPart {
  const used = new Set(part.clusters.flatMap(({ points }) => points.map(({ block }) => block)))
  const kept = part.blocks.flatMap((_, block) => (used.has(block) ? [block] : []))
  const clusters = part.clusters.map((cluster) => ({
    ...cluster,
    points: cluster.points.map((point) => ({ ...point, block: kept.indexOf(point.block) })),
  }))
  return { ...part, clusters, blocks: kept.flatMap((block) => (part.blocks[block] ? [part.blocks[block]] : [])) }
}

/** The clusters without an edited prompt's points, and without the blocks that were its alone. */
export function forgetPoints(part: AdapterClustersPart, prompt: string): AdapterClustersPart {
  return dropUnusedBlocks({ ...part, clusters: dropPoints(part.clusters, (point) => point.prompt === prompt) })
}
