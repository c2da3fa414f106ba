/**
 * Training of what an editor prepares: Adam over mini-batches of facts, until facts held out are told no better.
 *
 *   θ ← Adam(θ, g · min(1, c/‖g‖)),   g the gradient of a batch's loss, ‖g‖ over all parameters together
 *
 * Examples come in a random order, each once before any comes again. The held-out loss is taken at intervals; training ends when
 * it was not the smallest so far several times in a row, or after the most steps, and the parameters are then those of the smallest.
 *
 * What was trained is kept in `cacheDir` by what determines it; a job that was stopped goes on from its last save, through the same
 * numbers as one that was not.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import { WhicheditError } from '../../errors.ts'
import { hashOf } from '../../models/content-hash.ts'
import { norm } from '../../tensor/linalg.ts'
import type { Random } from '../../tensor/random.ts'
import type { HparamSpec } from '../editor.ts'
import { createAdam } from './adam.ts'
import { type NumberArray, readArrayFile, type SavedArrays, writeArrayFile } from './array-file.ts'

/** When steps are taken and when training ends. */
export type ScheduleHparams = {
  readonly batchSize: number
  readonly mostSteps: number
  readonly judgeEvery: number
  readonly patience: number
  readonly longestGradient: number
}

/** What those settings mean. */
export const SCHEDULE_HPARAMS: HparamSpec<ScheduleHparams> = {
  batchSize: {
    meaning: 'facts a step of Adam',
    unit: 'facts',
    range: [1, 10000],
    whole: true,
    reference: 'accumulate_bs',
  },
  mostSteps: { meaning: 'most steps of Adam', unit: 'steps', range: [1, 1e6], whole: true, reference: 'max_iters' },
  judgeEvery: {
    meaning: 'steps between two looks at the facts held out',
    unit: 'steps',
    range: [1, 1e6],
    whole: true,
    reference: 'val_interval',
  },
  patience: {
    meaning: 'looks in a row without a smaller loss after which training ends',
    unit: 'looks',
    range: [1, 1000],
    whole: true,
    reference: 'early_stop_patience',
  },
  longestGradient: {
    meaning: 'length to which gradients are cut',
    unit: '1',
    range: [1e-6, 1e9],
    reference: 'grad_clip',
  },
}

/** Numbers that are trained, changed in place. */
export interface TrainedArray {
  readonly values: Float32Array
  readonly learningRate: number
}

/** All that training changes. */
export interface TrainedArrays {
  readonly parameters: Readonly<Record<string, TrainedArray>>
  /** What is gathered while learning and goes with the parameters, such as moments; changed in place. */
  readonly gathered: Readonly<Record<string, Float64Array>>
}

/** What is trained, and how far off it is. */
export interface Trainee extends TrainedArrays {
  /** The loss of a batch of examples, by their numbers, with its gradients by the parameters' names. All chance comes from `random`. */
  learn(
    batch: readonly number[],
    random: Random,
  ): Promise<{ readonly loss: number; readonly gradients: Readonly<Record<string, Float32Array>> }>
  /** The loss of the examples held out. */
  judge(): Promise<number>
}

/** The work of {@link trainNetwork}. */
export interface TrainNetworkJob {
  readonly trainee: Trainee
  /** How many examples there are to learn from. */
  readonly examples: number
  readonly schedule: ScheduleHparams
  /** What its files and its progress are called. */
  readonly name: string
  /** Hash of all that determines the result. */
  readonly key: string
}

/** How training went. */
export interface Training {
  /** Facts learned from. */
  readonly examples: number
  readonly steps: number
  /** After how many of them the held-out loss was smallest. */
  readonly bestStep: number
  readonly heldFirst: number
  readonly heldBest: number
  /** What it took, where it was made. */
  readonly seconds: number
}

/** Digits of a hash in a file's name: 128 bits, far beyond chance. */
const NAME_DIGITS = 32
/** Milliseconds of work that a stopped job may lose. */
const SAVE_EVERY_MS = 20_000
/** A fact in so many is held out, and no more than so many: the estimate is good enough, and each costs as much as one to learn from. */
const HELD_EVERY = 10
const MOST_HELD = 32
/** What a network takes while it is trained, in copies of it: itself, two moments, the best so far, gradients of the runtime and ours. */
export const TRAINING_COPIES = 6

/** Deals examples in the order given: which to learn from, and which to hold out. Of a single one, both. */
export function holdOut<T>(examples: readonly T[]): { readonly learned: readonly T[]; readonly held: readonly T[] } {
  if (examples.length < 2) return { learned: examples, held: examples }
  const isHeld = (i: number) => i % HELD_EVERY === HELD_EVERY - 1 && i < HELD_EVERY * MOST_HELD
  const last = examples.length - 1
  const held = examples.length < HELD_EVERY ? (i: number) => i === last : isHeld
  return { learned: examples.filter((_, i) => !held(i)), held: examples.filter((_, i) => held(i)) }
}

/** The key of what is determined by all this and by a stream of chance, of which one number tells as much as its seed would. */
export function keyOf(determinedBy: readonly unknown[], random: Random): string {
  return hashOf([...determinedBy, random.stream('id').uniform()])
}

/** Trains, or finds what was trained in the cache. @throws E_NOT_FINITE for a loss that is no number, E_DISK_FULL, E_NOT_WRITABLE */
export async function trainNetwork(job: TrainNetworkJob, ctx: Context): Promise<Training> {
  const { trainee, key, name } = job
  const file = join(ctx.cacheDir, 'trained', `${name}-${key.slice(0, NAME_DIGITS)}.bin`)
  const done = restoreTraining(trainee, await readArrayFile(file, key))
  if (done !== undefined) return done
  const part = `${file}.part`
  const run = openRun(job, await readArrayFile(part, key))
  let savedAt = ctx.now()
  const save = async () => {
    run.spend(ctx.now() - savedAt)
    savedAt = ctx.now()
    await writeArrayFile(part, key, run.save())
  }
  while (!run.hasEnded()) {
    ctx.signal.throwIfAborted()
    if (run.isDue()) await run.look()
    else ctx.progress(await run.step(ctx.random))
    if (ctx.now() - savedAt > SAVE_EVERY_MS) await save()
  }
  run.spend(ctx.now() - savedAt)
  const training = run.finish()
  await writeArrayFile(file, key, { values: { ...training }, arrays: arraysOf(trainee) })
  await rm(part, { force: true })
  return training
}

function restoreTraining(arrays: TrainedArrays, saved: SavedArrays | undefined): Training | undefined {
  if (saved === undefined) return undefined
  for (const [name, array] of Object.entries(arraysOf(arrays))) restore(array, saved, name)
  return readTraining(saved.values)
}

/** Training as far as it has come. */
function openRun({ trainee, examples, schedule, name: task }: TrainNetworkJob, saved: SavedArrays | undefined) {
  const { batchSize, mostSteps, judgeEvery, patience, longestGradient } = schedule
  const current = arraysOf(trainee)
  const best = Object.fromEntries(Object.entries(current).map(([name, array]) => [name, array.slice()]))
  const optimisers = Object.fromEntries(
    Object.entries(trainee.parameters).map(([name, { values, learningRate }]) => [
      name,
      createAdam(values.length, learningRate),
    ]),
  )
  const count = { examples, steps: 0, lookedAt: 0, inVain: 0, bestStep: 0, heldFirst: 0, heldBest: 0, seconds: 0 }
  const dealt = dealExamples(examples)
  const size = Math.min(batchSize, examples)
  if (saved !== undefined) {
    Object.assign(count, saved.values)
    for (const [name, array] of Object.entries(current)) restore(array, saved, `now ${name}`)
    for (const [name, array] of Object.entries(best)) restore(array, saved, `best ${name}`)
    for (const [name, { state }] of Object.entries(optimisers)) {
      restore(state.first, saved, `first ${name}`)
      restore(state.second, saved, `second ${name}`)
      state.steps = count.steps
    }
  }
  return {
    hasEnded: () => count.lookedAt === count.steps && (count.steps === mostSteps || count.inVain === patience),
    isDue: () => count.lookedAt < count.steps && (count.steps % judgeEvery === 0 || count.steps === mostSteps),
    async look() {
      const loss = checkLoss(await trainee.judge())
      const isFirst = count.lookedAt === 0
      count.lookedAt = count.steps
      count.inVain = isFirst || loss < count.heldBest ? 0 : count.inVain + 1
      if (count.inVain > 0) return
      if (isFirst) count.heldFirst = loss
      count.heldBest = loss
      count.bestStep = count.steps
      for (const [name, array] of Object.entries(current)) best[name]?.set(array)
    },
    async step(random: Random) {
      const batch = Array.from({ length: size }, (_, i) => dealt(count.steps * size + i, random))
      const { loss, gradients } = await trainee.learn(batch, random.stream(`step ${count.steps}`))
      checkLoss(loss)
      const length = norm(Object.values(gradients).map((gradient) => norm(gradient)))
      const share = Math.min(1, longestGradient / length)
      for (const [name, { values }] of Object.entries(trainee.parameters)) {
        const gradient = gradients[name]
        if (gradient === undefined) throw new WhicheditError('E_INTERNAL', { what: `no gradient for ${name}` })
        optimisers[name]?.step(values, share < 1 ? gradient.map((slope) => share * slope) : gradient)
      }
      count.steps += 1
      return { task, done: count.steps, total: mostSteps, unit: 'steps', loss }
    },
    spend(ms: number) {
      count.seconds += ms / 1000
    },
    save(): SavedArrays {
      const named = (kind: string, arrays: Readonly<Record<string, NumberArray>>) =>
        Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`${kind} ${name}`, array]))
      const moments = (kind: 'first' | 'second') =>
        Object.fromEntries(Object.entries(optimisers).map(([name, { state }]) => [name, state[kind]]))
      const arrays = {
        ...named('now', current),
        ...named('best', best),
        ...named('first', moments('first')),
        ...named('second', moments('second')),
      }
      return { values: { ...count }, arrays }
    },
    finish(): Training {
      for (const [name, array] of Object.entries(current)) array.set(best[name] ?? array)
      return readTraining({ ...count })
    },
  }
}

/** Which example comes at a place of the endless row of shuffled examples. */
function dealExamples(examples: number): (at: number, random: Random) => number {
  let epoch = -1
  let order: readonly number[] = []
  return (at, random) => {
    const due = Math.floor(at / examples)
    if (due !== epoch) {
      epoch = due
      order = random.stream(`epoch ${due}`).shuffle(Array.from({ length: examples }, (_, i) => i))
    }
    return order[at % examples] ?? 0
  }
}

/** All that belongs to what is trained. */
function arraysOf({ parameters, gathered }: TrainedArrays): Record<string, NumberArray> {
  const trained = Object.entries(parameters).map(([name, { values }]) => [name, values] as const)
  return { ...Object.fromEntries(trained), ...gathered }
}

function restore(array: NumberArray, { arrays }: SavedArrays, name: string): void {
  const saved = arrays[name]
  if (saved?.length !== array.length) {
    throw new WhicheditError('E_INTERNAL', { what: `trained arrays of this key without ${name} [${array.length}]` })
  }
  array.set(saved)
}

function readTraining(values: Readonly<Record<string, number>>): Training {
  const { examples = 0, steps = 0, bestStep = 0, heldFirst = 0, heldBest = 0, seconds = 0 } = values
  return { examples, steps, bestStep, heldFirst, heldBest, seconds }
}

function checkLoss(loss: number): number {
  if (!Number.isFinite(loss)) {
    throw new WhicheditError('E_NOT_FINITE', { where: 'the loss of training', found: String(loss) })
  }
  return loss
}
