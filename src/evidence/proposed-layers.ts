/**
 * The layers that causal tracing proposes for a model, over facts that it knows. A fact's trace takes seconds to minutes: each is
 * kept in the cache, so that one that was stopped goes on with the next fact.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { systemCode, writeWhole } from '../disk.ts'
import {
  embeddingDeviation,
  NOISE,
  type ProposedLayers,
  proposeRecallLayers,
  type Recall,
  SAMPLES,
  type TracedFact,
  type TraceJob,
  traceRecall,
  windowFor,
} from '../editors/steps/causal-trace.ts'
import { WhicheditError } from '../errors.ts'
import type { Fact } from '../facts/fact.ts'
import { hashOf } from '../models/content-hash.ts'
import type { LanguageModel } from '../models/model.ts'
import { tokenOfSpan } from '../models/tokenizer.ts'
import { drawKnownFacts } from './known-facts.ts'

/** What is proposed, and by how many facts. */
export interface TracedLayers extends ProposedLayers {
  readonly facts: number
}

const RECALL = z.object({
  clean: z.number(),
  corrupted: z.number(),
  restored: z.array(z.number()),
}) satisfies z.ZodType<Recall>

/**
 * Traces at most `count` of the facts. Null where the model knows none of those it is asked: of what it cannot say nothing can be
 * said where it recalls it. Facts whose subject ends inside a token are left out.
 * @throws E_DISK_FULL, E_NOT_WRITABLE
 */
export async function traceLayers(
  model: LanguageModel,
  facts: readonly Fact[],
  count: number,
  ctx: Context,
): Promise<TracedLayers | null> {
  const known = await drawKnownFacts(model, facts, { count, random: ctx.random })
  const traced: TracedFact[] = []
  for (const { targetOld, prompt, subjectSpan } of known) {
    const fact = { prompt, subjectSpan, answer: targetOld }
    if (await endsWithToken(model, fact)) traced.push(fact)
  }
  if (traced.length === 0) return null
  const deviation = await embeddingDeviation(model, traced)
  const settings = { deviation, noise: NOISE, samples: SAMPLES, window: windowFor(model.config) }
  const recalls: Recall[] = []
  for (const fact of traced) {
    recalls.push(await recallOnce({ model, fact, settings }, ctx))
    ctx.progress({ task: 'tracing', done: recalls.length, total: traced.length, unit: 'facts' })
  }
  return { facts: recalls.length, ...proposeRecallLayers(recalls) }
}

async function endsWithToken({ tokenizer }: LanguageModel, { prompt, subjectSpan }: TracedFact): Promise<boolean> {
  try {
    tokenOfSpan(await tokenizer.encode(prompt), subjectSpan)
    return true
  } catch (error) {
    if (error instanceof WhicheditError && error.code === 'E_SUBJECT_SPLIT') return false
    throw error
  }
}

/** A fact's trace from the cache, or made and kept. */
async function recallOnce(job: TraceJob, ctx: Context): Promise<Recall> {
  const seed = ctx.random.stream('identity').uniform()
  const key = hashOf([job.model.id, job.fact, job.settings, seed]).slice(0, 32)
  const file = join(ctx.cacheDir, 'traces', `${key}.json`)
  const kept = await readRecall(file)
  if (kept !== undefined) return kept
  const made = await traceRecall(job, ctx)
  await writeWhole(file, JSON.stringify(made))
  return made
}

/** A file that cannot be understood holds nothing: it can be made again. */
async function readRecall(file: string): Promise<Recall | undefined> {
  try {
    return RECALL.safeParse(JSON.parse(await readFile(file, 'utf8'))).data
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
