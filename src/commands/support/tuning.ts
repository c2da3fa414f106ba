/** Finding layers for methods in a model, from what a user says to a file of the project: candidates, runs, a choice. */
import type { Context } from '../../context.ts'
import type { Editor } from '../../editors/editor.ts'
import { listSiteSettings, type Sites, settleHparams } from '../../editors/hparams.ts'
import { WhicheditError } from '../../errors.ts'
import type { LaneEvent } from '../../evidence/lanes.ts'
import { type TracedLayers, traceLayers } from '../../evidence/proposed-layers.ts'
import { SINGLE } from '../../evidence/record.ts'
import { type FoundSites, writeSites } from '../../evidence/sites.ts'
import type { StoredRun } from '../../evidence/store.ts'
import { type Candidate, listCandidates, runSweep } from '../../evidence/sweep.ts'
import { countSubjects } from '../../facts/cases.ts'
import { findEncoder, loadModel } from '../../models/index.ts'
import { printable } from '../../printable.ts'
import { PROBES } from '../../probes/index.ts'
import type { Probe } from '../../probes/probe.ts'
import { chooseSites, measureSites, SITE_CRITERIA } from '../../scoring/choose-sites.ts'
import { memoryForModel } from './machine-memory.ts'
import { modelPlaces, SITES_FOLDER, SWEEPS_FOLDER } from './places.ts'
import {
  findSubject,
  interruption,
  isAlive,
  isSearching,
  laneEntry,
  type Probing,
  type ProbingHost,
  type ProbingRequest,
  planMethods,
  type Subject,
  tunedModel,
} from './probing.ts'

/** What layers are to be found for. */
export type TuningRequest = Omit<ProbingRequest, 'regimes'>

/** What is about to be done for a method. */
export interface Sweep {
  readonly editor: Editor
  readonly candidates: readonly Candidate[]
  /** Facts that each candidate edits. */
  readonly cases: number
  /** Layers are published for exactly this model: what is found does not count. */
  readonly isPublished: boolean
}

/** Who watches, and where the program lies. */
export interface TuningHost extends Pick<ProbingHost, 'config'> {
  /** Called before anything is computed, with how many facts each candidate edits, and whether any are traced. */
  readonly onStart: (start: { readonly cases: number; readonly traced: boolean; readonly methods: number }) => void
  /** Called once after tracing, where a method is to be located; null where the model knew none of the facts. */
  readonly onTraced: (traced: TracedLayers | null) => void
  /** Called for each method before its candidates are tried; gives what takes their events. */
  readonly onSweep: (sweep: Sweep) => (candidate: number, event: LaneEvent, leftS: number | null) => void
}

/** Layers that were found for a method. */
export interface TunedSites {
  readonly method: string
  readonly file: string
  /** Those that the method has without. */
  readonly published: Sites
  /** Whether these are published for exactly this model: then they stay in use. */
  readonly isPublished: boolean
  readonly found: FoundSites
}

/** What became of a method; `skipped`: why nothing was to be done. */
export type TunedMethod =
  | TunedSites
  | { readonly method: string; readonly skipped: string }
  | { readonly method: string; readonly failure: { readonly code: string; readonly message: string } }

/** Facts that are traced, if the model knows so many: a trace of few says little, and takes less than an edit. */
export const TRACED_FACTS = 8

const ASKED: readonly Probe[] = Object.values(PROBES).filter(({ criterion }) =>
  SITE_CRITERIA.some((one) => one === criterion),
)

/**
 * Finds layers for methods, one after another, and keeps them in the project; or goes on where the same was stopped.
 * @throws an Interruption that tells how much is kept, when stopped; E_SITE_FACTS; what the files, the model or the disk raise
 */
export async function tune(request: TuningRequest, ctx: Context, host: TuningHost): Promise<TunedMethod[]> {
  const whole = { ...request, regimes: [SINGLE] }
  const memoryBytes = memoryForModel(request.maxMemory ?? null)
  const found = await findSubject(whole, ctx, memoryBytes)
  const subject = { ...found, request: { ...whole, cases: countCases(found) } }
  const reasons = new Map<Editor, string | null>()
  for (const editor of request.methods) reasons.set(editor, await reasonToSkip(editor, ctx))
  const tuned = [...reasons].filter(([, reason]) => reason === null)
  const isLocated = tuned.some(([editor]) => isLocating(editor))
  if (tuned.length > 0) host.onStart({ cases: subject.request.cases, traced: isLocated, methods: tuned.length })
  const traced = isLocated ? await traceSubject(subject, ctx, memoryBytes) : null
  if (isLocated) host.onTraced(traced)
  const results: TunedMethod[] = []
  for (const [editor, skipped] of reasons) {
    if (skipped !== null) results.push({ method: editor.name, skipped })
    else results.push(await tuneMethod(editor, { subject, traced, memoryBytes }, ctx, host))
  }
  return results
}

/** Facts that each candidate edits: those wanted, about half of the data's subjects at most, so that some are left to try methods on. */
function countCases({ facts, request }: Subject): number {
  const most = Math.floor(countSubjects(facts) / 2)
  if (most === 0) throw new WhicheditError('E_SITE_FACTS', { file: printable(request.facts) })
  return Math.min(request.cases, most)
}

/** Methods that change where a model recalls facts. */
function isLocating({ family }: Editor): boolean {
  return family === 'locate-then-edit'
}

async function reasonToSkip(editor: Editor, ctx: Context): Promise<string | null> {
  if (listSiteSettings(editor).length === 0) return 'it has no layer to choose'
  if (!isSearching(editor) || (await findEncoder(ctx, modelPlaces())) === null) return null
  return 'its layer is not used here, where an encoder makes the sentence vectors'
}

async function traceSubject(
  { request, facts }: Subject,
  ctx: Context,
  memoryBytes: number,
): Promise<TracedLayers | null> {
  const chat = request.chat ?? false
  const model = await loadModel(request.model, modelPlaces(), ctx, { chat, memoryBytes })
  try {
    return await traceLayers(model, facts, TRACED_FACTS, ctx)
  } finally {
    await model.close()
  }
}

interface Tuning {
  readonly subject: Subject
  readonly traced: TracedLayers | null
  readonly memoryBytes: number
}

async function tuneMethod(editor: Editor, tuning: Tuning, ctx: Context, host: TuningHost): Promise<TunedMethod> {
  try {
    return await sweepMethod(editor, tuning, ctx, host)
  } catch (error) {
    // That one method has no room says nothing about the next.
    if (!(error instanceof WhicheditError) || error.code !== 'E_MEMORY') throw error
    return { method: editor.name, failure: { code: error.code, message: error.message } }
  }
}

async function sweepMethod(editor: Editor, tuning: Tuning, ctx: Context, host: TuningHost): Promise<TunedMethod> {
  const { subject, memoryBytes } = tuning
  const { request } = subject
  const { published, isPublished, probings, candidates } = await planCandidates(editor, tuning, ctx, host)
  const { isStopped, done, total, runs } = await runSweep({
    root: SWEEPS_FOLDER,
    plans: probings.map(({ plan }) => plan),
    owner: { pid: process.pid, isAlive },
    fresh: request.fresh ?? false,
    retryErrors: request.retryErrors ?? false,
    model: request.model,
    chat: request.chat ?? false,
    memoryBytes,
    places: modelPlaces(),
    cacheDir: ctx.cacheDir,
    sharing: { lanes: 1, session: probings[0]?.sharing.session ?? {} },
    entry: laneEntry(host.config),
    signal: ctx.signal,
    report: host.onSweep({ editor, candidates, cases: request.cases, isPublished }),
  })
  if (isStopped) throw interruption(ctx.signal, done, total)
  const found = describeFound(editor, { ...tuning, candidates, runs })
  if ('failure' in found) return { method: editor.name, ...found }
  const file = await writeSites(SITES_FOLDER, found)
  return { method: editor.name, file, isPublished, published, found }
}

interface PlannedSweep {
  readonly published: Sites
  readonly isPublished: boolean
  readonly candidates: readonly Candidate[]
  /** Of each candidate. */
  readonly probings: readonly Probing[]
}

async function planCandidates(
  editor: Editor,
  { subject, traced }: Tuning,
  ctx: Context,
  { config }: TuningHost,
): Promise<PlannedSweep> {
  const model = subject.footprint.config
  const { hparams, origins } = await settleHparams(editor, model)
  const names = listSiteSettings(editor)
  const published = Object.fromEntries(names.map((name) => [name, Number(hparams[name])]))
  const proposed = isLocating(editor) ? traced : null
  const candidates = listCandidates({ published, proposed, layers: model.layers })
  const probings: Probing[] = []
  for (const { sites } of candidates) {
    const settings = new Map([[editor, { ...hparams, ...sites }]])
    probings.push(await planMethods({ subject, settings, probes: ASKED, spent: [] }, ctx, config))
  }
  return { published, isPublished: names.some((name) => origins[name] === 'model'), candidates, probings }
}

interface Swept extends Pick<Tuning, 'subject' | 'traced'> {
  readonly candidates: readonly Candidate[]
  readonly runs: readonly StoredRun[]
}

/** What a sweep has found, as it is kept; or why it found nothing. */
function describeFound(
  editor: Editor,
  { subject, traced, candidates, runs }: Swept,
): FoundSites | { readonly failure: { readonly code: string; readonly message: string } } {
  const hasCase = runs.some(({ records }) => records.some(({ kind }) => kind === 'case'))
  const measured = hasCase ? measureSites(runs.map(({ info, records }) => ({ run: info, records }))) : []
  const tried = candidates.flatMap((candidate, i) => {
    const [numbers, run] = [measured[i], runs[i]?.info]
    return numbers === undefined || run === undefined ? [] : [{ ...candidate, ...numbers, run }]
  })
  const best = tried[chooseSites(tried) ?? -1]
  // The run that was begun last tells when and where.
  const last = runs
    .map(({ info }) => info)
    .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
    .at(-1)
  if (best === undefined || last === undefined) {
    const [failure] = runs.flatMap(({ records }) => records.flatMap((one) => (one.kind === 'failure' ? [one] : [])))
    return { failure: { code: failure?.code ?? 'E_INTERNAL', message: failure?.message ?? 'nothing was tried' } }
  }
  const { data, settings, createdAt, machine, versions } = last
  return {
    schemaVersion: 1,
    model: tunedModel(subject),
    method: editor.name,
    version: editor.version,
    sites: best.sites,
    sweptAt: createdAt,
    facts: { name: data.name, hash: data.hash, cases: [...data.cases], subjects: subjectsOf(subject, data.cases) },
    seed: settings.seed,
    traced:
      isLocating(editor) && traced !== null
        ? { facts: traced.facts, peak: traced.peak, range: [...traced.range] }
        : null,
    candidates: tried.map(({ offset: _, run, ...one }) => ({ ...one, run: run.id })),
    machine,
    versions: { ...versions },
  }
}

function subjectsOf({ facts }: Subject, ids: readonly string[]): string[] {
  return facts.filter(({ id }) => ids.includes(id)).map(({ subject }) => subject)
}
