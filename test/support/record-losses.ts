/** A model that writes down every loss it is asked for, and is otherwise the model itself. */
import type { LanguageModel } from '../../src/models/model.ts'

/** The model, and the losses of its runs in order. */
export function recordLosses(model: LanguageModel): { readonly model: LanguageModel; readonly losses: number[] } {
  const losses: number[] = []
  const wrap = (inner: LanguageModel): LanguageModel => ({
    ...inner,
    async run(request) {
      const result = await inner.run(request)
      if (result.loss !== undefined) losses.push(result.loss)
      return result
    },
    withPatch: (patch) => wrap(inner.withPatch(patch)),
  })
  return { model: wrap(model), losses }
}
