/** One loss and its gradient for one thing: the inner step of every method that descends. */
import { WhicheditError } from '../../errors.ts'
import type { LanguageModel, RunRequest } from '../../models/model.ts'
import type { Tensor } from '../../tensor/tensor.ts'

/** A loss with its gradient. */
export interface Differentiated {
  readonly loss: number
  /** In the shape of what it was taken for. */
  readonly gradient: Tensor
}

/** Runs a request that has a loss, and takes the loss's gradient for `name`: a write's site, or a weight given in the request. */
export async function differentiate(
  model: LanguageModel,
  request: Omit<RunRequest, 'gradientOf'>,
  name: string,
): Promise<Differentiated> {
  const { loss, gradients } = await model.run({ ...request, gradientOf: [name] })
  const gradient = gradients[name]
  if (loss === undefined || gradient === undefined) {
    throw new WhicheditError('E_INTERNAL', { what: `differentiate: the model gave no loss or no gradient for ${name}` })
  }
  return { loss, gradient }
}
