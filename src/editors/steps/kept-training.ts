/**
 * Training that takes minutes: one pass over batches, a step of Adam each. What it has reached is kept in a file by what determines
 * it, so that a training that was stopped goes on, and one that is finished is read back. The result is the same either way.
 */
import { z } from 'zod'
import type { Context } from '../../context.ts'
import { createAdam } from './adam.ts'
import { differentiateAll } from './differentiate.ts'
import { type NumberFileKind, readNumberFile, writeNumberFile } from './number-file.ts'
import type { Parameters, TrainJob } from './train-on-facts.ts'

/** The work of {@link trainKept}. */
export interface KeptTraining extends Pick<TrainJob, 'model' | 'batches' | 'parameters' | 'given' | 'task'> {
  /** Where it is kept. */
  readonly file: string
  /** Says what determines the result. */
  readonly key: string
}

/** How much work a stop may cost. */
const SAVE_EVERY_MS = 20_000

/** Numbers of each parameter: itself, and both moments of Adam. */
const COPIES = 3
const KIND: NumberFileKind<{ readonly steps: number; readonly parameters: number }> = {
  format: 'whichedit/training@1',
  values: z.object({ steps: z.int().min(0), parameters: z.int().min(0) }),
  count: ({ steps, parameters }) => COPIES * parameters + steps,
}

/** Trains the parameters in place. The loss of each batch, taken before its step. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function trainKept(job: KeptTraining, ctx: Context): Promise<number[]> {
  const { model, batches, parameters, given, task } = job
  const adams = parameters.map(({ values, learningRate }) => createAdam(values.length, learningRate))
  const arrays = parameters.flatMap(({ values }, i) =>
    [values, adams[i]?.state.first, adams[i]?.state.second].flatMap((x) => x ?? []),
  )
  const losses = await resume(job, arrays)
  for (const { state } of adams) state.steps = losses.length
  const names = parameters.map(({ name }) => name)
  let savedAt = ctx.now()
  for (const { request } of batches.slice(losses.length)) {
    ctx.signal.throwIfAborted()
    const { loss, gradients } = await differentiateAll(model, { ...request, ...given }, names)
    gradients.forEach((gradient, i) => {
      adams[i]?.step(parameters[i]?.values ?? new Float32Array(0), gradient.data)
    })
    losses.push(loss)
    ctx.progress({ task, done: losses.length, total: batches.length, unit: 'steps', loss })
    if (losses.length === batches.length || ctx.now() - savedAt > SAVE_EVERY_MS) {
      await save(job, arrays, losses)
      savedAt = ctx.now()
    }
  }
  return losses
}

/** Puts what was kept into the arrays, if anything was. The losses so far. */
async function resume(
  { file, key, batches, parameters }: KeptTraining,
  arrays: readonly Float32Array[],
): Promise<number[]> {
  const found = await readNumberFile(file, key, KIND)
  if (found === undefined) return []
  const { steps, parameters: count } = found.values
  if (count !== countAll(parameters) || steps > batches.length) return []
  let at = 0
  for (const array of arrays) {
    array.set(found.numbers.subarray(at, at + array.length))
    at += array.length
  }
  return [...found.numbers.subarray(at)]
}

function save({ file, key, parameters }: KeptTraining, arrays: readonly Float32Array[], losses: readonly number[]) {
  const count = countAll(parameters)
  const numbers = new Float64Array(COPIES * count + losses.length)
  let at = 0
  for (const array of [...arrays, losses]) {
    numbers.set(array, at)
    at += array.length
  }
  return writeNumberFile(file, key, KIND, { values: { steps: losses.length, parameters: count }, numbers })
}

function countAll(parameters: readonly Parameters[]): number {
  return parameters.reduce((count, { values }) => count + values.length, 0)
}
