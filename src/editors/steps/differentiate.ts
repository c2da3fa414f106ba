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

/** A loss with several gradients, in the order asked. */
export interface DifferentiatedAll {
  readonly loss: number
  /** Of each of its terms, in their order. */
  readonly lossTerms: readonly number[]
  /** Each in the shape of what it was taken for. */
  readonly gradients: readonly Tensor[]
  /** What the request reads. */
  readonly reads: readonly Tensor[]
}

/** Runs a request that has a loss, and takes the loss's gradient for `name`: one of those of `RunRequest.gradientOf`. */
export async function differentiate(
  model: LanguageModel,
  request: Omit<RunRequest, 'gradientOf'>,
  name: string,
): Promise<Differentiated> {
  const { loss, gradients } = await differentiateAll(model, request, [name])
  const [gradient] = gradients
  if (gradient === undefined)
    throw new WhicheditError('E_INTERNAL', { what: 'differentiate: one gradient for one name' })
  return { loss, gradient }
}

/** The same for several names, in one run. */
export async function differentiateAll(
  model: LanguageModel,
  request: Omit<RunRequest, 'gradientOf'>,
  names: readonly string[],
): Promise<DifferentiatedAll> {
  const { loss, lossTerms, gradients, reads } = await model.run({ ...request, gradientOf: names })
  const found = names.flatMap((name) => gradients[name] ?? [])
  if (loss === undefined || found.length < names.length) {
    const what = `differentiate: the model gave no loss or not all gradients for ${names.join(', ')}`
    throw new WhicheditError('E_INTERNAL', { what })
  }
  return { loss, lossTerms, gradients: found, reads }
}
