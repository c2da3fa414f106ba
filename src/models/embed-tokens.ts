/** What a model makes of tokens before its first layer: their vectors, as they are where nothing is known of a position. */
import { WhicheditError } from '../errors.ts'
import { input } from '../graph/graph.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { plainAttention } from './attention.ts'
import { mergePatches } from './merged-patch.ts'
import type { Engine } from './run.ts'
import { indices, openScope } from './scope.ts'

/** The vectors of tokens [N, D]; no patch changes them. */
export async function embedTokens({ network, weights, sessions }: Engine, ids: readonly number[]): Promise<Tensor> {
  const session = await sessions.get('token vectors', () => {
    const attention = plainAttention(network)
    const scope = openScope({ network, weights, patch: mergePatches([]), fed: new Map(), attention })
    return { vectors: network.embed(scope, input('ids', ['N'], 'int64')) }
  })
  const { vectors } = await session.run({ ids: indices(ids) })
  if (vectors?.dtype !== 'float32')
    throw new WhicheditError('E_INTERNAL', { what: 'token vectors: the graph gave none' })
  return vectors
}
