/**
 * Asks the Hugging Face hub, or a mirror of it, what a repository holds, and fetches its files. The hub's own library knows the
 * ways and forms of its interface; the files are fetched by `download.ts`, which can go on where it stopped. Every request goes
 * through one door here: the access token is sent to the hub's own address and nowhere else, a busy hub is asked again, and a
 * refusal is told with what to do about it. What the hub answers is not trusted.
 */
import { stat } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { listFiles, modelInfo } from '@huggingface/hub'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'
import { download } from './download.ts'
import { MAIN } from './hub-cache.ts'

/** A hub, and who asks it. */
export interface Hub {
  /** Its address, `https://huggingface.co`. */
  readonly endpoint: string
  readonly token?: AccessToken
  /** True where the user wants no network to be used. */
  readonly offline?: boolean
  /** Milliseconds before a request that failed is made again; each further time twice as long. */
  readonly pauseMs?: number
}

/** What proves to the hub who asks. Never printed. */
export interface AccessToken {
  readonly value: string
  /** Where it was found, for messages. */
  readonly source: string
}

/** Names a state of a repository. */
export interface RepositoryName {
  /** `<owner>/<name>` */
  readonly repository: string
  /** A branch, a tag or a commit; the main branch where absent. */
  readonly revision?: string
}

/** A file of a repository. */
export interface RemoteFile {
  readonly path: string
  readonly bytes: number
  readonly checksum: Checksum
}

/** What a file's contents must be: the sha256 of a large file, git's own hash of a small one. */
export interface Checksum {
  readonly kind: 'sha256' | 'git'
  /** Hexadecimal digits. */
  readonly digest: string
}

/** What a repository holds. */
export interface Repository {
  readonly repository: string
  readonly commit: string
  /** As its owner states it; absent where none is stated. */
  readonly license?: string
  readonly files: readonly RemoteFile[]
}

const HUB_PAUSE_MS = 1000
/** The hub's limits count by windows of five minutes; who has to wait longer than this does better to come again. */
const MAX_PAUSE_MS = 60_000
/** With pauses that double from a second on: half a minute. */
const MAX_REPEATS = 5
/** Answers of a busy hub, or of what stands before it. */
const BUSY: ReadonlySet<number> = new Set([429, 500, 502, 503, 504])
/** A page of a thousand files takes a third of a megabyte. */
const MAX_ANSWER_BYTES = 32 * 2 ** 20
/** The largest repositories of models hold some thousands. */
const MAX_FILES = 100_000

const COMMIT = /^[0-9a-f]{40}$/
const INFO = z.object({ sha: z.string().regex(COMMIT), cardData: z.unknown().optional() })
const CARD = z.object({ license: z.string() })
const SIZE = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const KIND = z.object({ type: z.string() })
const ENTRY = z.object({
  path: z.string(),
  size: SIZE,
  oid: z.string().regex(COMMIT),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: SIZE }).optional(),
})

/**
 * Reads what a repository holds. Files whose names lead out of a folder are left out.
 * @throws E_HUB_NOT_FOUND, E_HUB_REVISION, E_HUB_GATED, E_HUB_TOKEN, E_HUB_UNREACHABLE, E_HUB_ANSWER; the signal's reason when aborted.
 */
export async function readRepository(name: RepositoryName, hub: Hub, ctx: Context): Promise<Repository> {
  const { repository, revision = MAIN } = name
  checkRevision(name)
  const ask = { hubUrl: hub.endpoint, fetch: askingFetch(name, hub, ctx) }
  const additionalFields = ['sha', 'cardData'] as const
  const found = await whileAsking(name, ctx, () =>
    modelInfo({ ...ask, name: repository, revision, additionalFields: [...additionalFields] }),
  )
  const { sha: commit, cardData } = expectForm(INFO, found, name)
  const files: RemoteFile[] = []
  await whileAsking(name, ctx, async () => {
    const listing = { ...ask, repo: { type: 'model', name: repository }, revision: commit, recursive: true } as const
    for await (const entry of listFiles(listing)) {
      if (files.length === MAX_FILES) throw answerError(name, `at most ${MAX_FILES} files`, 'more')
      const { type } = expectForm(KIND, entry, name)
      if (type === 'file') files.push(toFile(expectForm(ENTRY, entry, name)))
    }
  })
  const { data: card } = CARD.safeParse(cardData)
  return { repository, commit, files: files.filter(isInside), ...card }
}

/**
 * Fetches a file into `part`, from where an earlier attempt stopped; goes on by itself after a broken connection for as long
 * as that brings anything. The contents are not checked here.
 * @throws E_DOWNLOAD and what {@link readRepository} throws.
 */
export async function fetchFile(
  { repository, commit }: Repository,
  { path, bytes }: RemoteFile,
  part: string,
  hub: Hub,
  ctx: Context,
): Promise<void> {
  const url = `${hub.endpoint}/${repository}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`
  const job = { name: path, url, bytes, fetch: guardedFetch({ repository, revision: commit }, hub, ctx) }
  for (let fruitless = 0; ; ) {
    const before = await sizeOf(part)
    try {
      return await download(job, part, ctx)
    } catch (error) {
      fruitless = (await sizeOf(part)) > before ? 0 : fruitless + 1
      if (!isBroken(error) || fruitless === MAX_REPEATS) throw error
    }
    await pause(fruitless, hub, ctx)
  }
}

function checkRevision({ repository, revision = MAIN }: RepositoryName): void {
  if (/^\w[\w./-]*$/.test(revision) && isInside({ path: revision })) return
  throw new WhicheditError('E_HUB_REVISION', { repository, revision: JSON.stringify(revision) })
}

function toFile({ path, size, oid, lfs }: z.infer<typeof ENTRY>): RemoteFile {
  if (lfs === undefined) return { path, bytes: size, checksum: { kind: 'git', digest: oid } }
  return { path, bytes: lfs.size, checksum: { kind: 'sha256', digest: lfs.oid } }
}

/** Says whether a name stays within the folder it is joined to, on every system. */
function isInside({ path }: { readonly path: string }): boolean {
  return path.split('/').every((part) => /^[^\\:\p{C}]+$/u.test(part) && !/^\.{1,2}$/.test(part))
}

function expectForm<T>(form: z.ZodType<T>, found: unknown, name: RepositoryName): T {
  const { data, error } = form.safeParse(found)
  if (error === undefined) return data
  const [issue] = error.issues
  const where = issue?.path.join('.') || 'an answer'
  throw answerError(name, `${where} of the form known`, issue?.message ?? 'another')
}

function answerError({ repository }: RepositoryName, expected: string, found: string, cause?: unknown): WhicheditError {
  return new WhicheditError('E_HUB_ANSWER', { repository, expected, found }, { cause })
}

/** A fetch for questions: answers are whole, of a bearable size. */
function askingFetch(name: RepositoryName, hub: Hub, ctx: Context): typeof fetch {
  const guarded = guardedFetch(name, hub, ctx)
  return async (input, init) => {
    try {
      return await readWhole(await guarded(input, init), name, ctx)
    } catch (error) {
      ctx.signal.throwIfAborted()
      if (!(error instanceof TypeError)) throw error
      // The network's failures are TypeErrors that carry their reason as a cause.
      throw unreachable(hub, error.cause instanceof Error ? error.cause.message : error.message, error)
    }
  }
}

async function readWhole(response: Response, name: RepositoryName, ctx: Context): Promise<Response> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw answerError(name, `at most ${MAX_ANSWER_BYTES} bytes`, 'more')
    chunks.push(chunk)
    // Node 20 never answers a read of a body that was aborted while its last piece was in hand.
    ctx.signal.throwIfAborted()
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers })
}

/** A fetch that shows the token to the hub alone, asks a busy hub again, and gives refusals their errors. */
function guardedFetch(name: RepositoryName, hub: Hub, ctx: Context): typeof fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const headers = new Headers(init?.headers)
    // Where the hub sends us on to another server, fetch itself takes this header away.
    if (hub.token !== undefined && isAtHub(url, hub)) headers.set('authorization', `Bearer ${hub.token.value}`)
    for (let repeats = 0; ; repeats++) {
      if (hub.offline) throw unreachable(hub, 'HF_HUB_OFFLINE is set')
      const response = await fetch(url, { ...init, headers, signal: ctx.signal })
      if (response.ok) return response
      await response.body?.cancel()
      if (!BUSY.has(response.status) || repeats === MAX_REPEATS) throw refusal(name, response, hub)
      await pause(repeats, hub, ctx, response.headers.get('retry-after'))
    }
  }
}

function isAtHub(url: URL, { endpoint }: Hub): boolean {
  return url.origin === new URL(endpoint).origin
}

/** Waits before the next attempt, for as long as the hub asks for within reason. */
async function pause(
  repeats: number,
  { pauseMs = HUB_PAUSE_MS }: Hub,
  ctx: Context,
  asked: string | null = null,
): Promise<void> {
  const wanted = asked !== null && /^\d{1,6}$/.test(asked) ? Number(asked) * 1000 : pauseMs * 2 ** repeats
  ctx.progress({ task: 'waiting for the hub', done: repeats + 1, total: MAX_REPEATS, unit: 'attempts' })
  const pausing = setTimeout(Math.min(wanted, MAX_PAUSE_MS), undefined, { signal: ctx.signal })
  await pausing.catch(() => ctx.signal.throwIfAborted())
}

function refusal({ repository, revision = MAIN }: RepositoryName, response: Response, hub: Hub): WhicheditError {
  const { status, headers } = response
  const code = headers.get('x-error-code')
  const { endpoint, token } = hub
  if (!isAtHub(new URL(response.url), hub) || ![401, 403, 404].includes(status)) {
    return unreachable(hub, `${new URL(response.url).host} answered ${status} ${response.statusText}`)
  }
  if (code === 'RevisionNotFound') return new WhicheditError('E_HUB_REVISION', { repository, revision })
  if (code === 'GatedRepo' || status === 403) {
    const reason = token === undefined ? 'no access token was given' : `the token of ${token.source} does not reach it`
    return new WhicheditError('E_HUB_GATED', { repository, endpoint, reason })
  }
  if (status === 401 && code === null && token !== undefined) {
    return new WhicheditError('E_HUB_TOKEN', { endpoint, source: token.source })
  }
  return new WhicheditError('E_HUB_NOT_FOUND', { repository, endpoint, status })
}

/** Lets the library ask. What it stumbles over is an answer in no form it knows. */
async function whileAsking<T>(name: RepositoryName, ctx: Context, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    ctx.signal.throwIfAborted()
    if (error instanceof WhicheditError) throw error
    throw answerError(name, 'JSON of the form known', error instanceof Error ? error.message : String(error), error)
  }
}

function unreachable({ endpoint }: Hub, reason: string, cause?: unknown): WhicheditError {
  return new WhicheditError('E_HUB_UNREACHABLE', { endpoint, reason }, { cause })
}

function isBroken(error: unknown): boolean {
  return error instanceof WhicheditError && error.code === 'E_DOWNLOAD'
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0
}
