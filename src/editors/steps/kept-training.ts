/**
 * Training that takes minutes: one pass over batches, a step of Adam each. What it has reached is kept in a file by what determines
 * it, so that a training that was stopped goes on, and one that is finished is read back. The result is the same either way.
 */
import type { Context } from '../../context.ts'
import { createAdam } from './adam.ts'
import { readArrayFile, writeArrayFile } from './array-file.ts'
import { differentiateAll } from './differentiate.ts'
import type { TrainJob } from './train-on-facts.ts'

/** The work of {@link trainKept}. */
export interface KeptTraining extends Pick<TrainJob, 'model' | 'batches' | 'parameters' | 'given' | 'task'> {
  /** Where it is kept. */
  readonly file: string
  /** Says what determines the result. */
  readonly key: string
}

/** How much work a stop may cost. */
const SAVE_EVERY_MS = 20_000

/** Trains the parameters in place. The loss of each batch, taken before its step. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function trainKept(job: KeptTraining, ctx: Context): Promise<number[]> {
  const { model, batches, parameters, given, task } = job
  const trained = parameters.map((one) => ({ ...one, adam: createAdam(one.values.length, one.learningRate) }))
  const arrays = Object.fromEntries(
    trained.flatMap(({ name, values, adam: { state } }) => [
      [name, values],
      [`first of ${name}`, state.first],
      [`second of ${name}`, state.second],
    ]),
  )
  const losses = await resume(job, arrays)
  for (const { adam } of trained) adam.state.steps = losses.length
  const names = parameters.map(({ name }) => name)
  let savedAt = ctx.now()
  for (const { request } of batches.slice(losses.length)) {
    ctx.signal.throwIfAborted()
    const { loss, gradients } = await differentiateAll(model, { ...request, ...given }, names)
    gradients.forEach((gradient, i) => {
      const one = trained[i]
      one?.adam.step(one.values, gradient.data)
    })
    losses.push(loss)
    ctx.progress({ task, done: losses.length, total: batches.length, unit: 'steps', loss })
    if (losses.length === batches.length || ctx.now() - savedAt > SAVE_EVERY_MS) {
      await writeArrayFile(job.file, job.key, { values: {}, arrays: { ...arrays, losses: Float64Array.from(losses) } })
      savedAt = ctx.now()
    }
  }
  return losses
}

/** Puts what was kept into the arrays, if anything was that fits them. The losses so far. */
async function resume(
  { file, key, batches }: KeptTraining,
  arrays: Readonly<Record<string, Float32Array>>,
): Promise<number[]> {
  const { losses, ...kept } = (await readArrayFile(file, key))?.arrays ?? {}
  const fits = Object.entries(arrays).every(([name, { length }]) => kept[name]?.length === length)
  if (losses === undefined || losses.length > batches.length || !fits) return []
  for (const [name, array] of Object.entries(arrays)) array.set(kept[name] ?? array)
  return [...losses]
}
