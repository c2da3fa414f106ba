/** Downloads one file, whose size and checksum are known beforehand, so that a broken download goes on where it stopped. */
import { type FileHandle, open } from 'node:fs/promises'
import type { Context } from '../context.ts'
import { WhicheditError } from '../errors.ts'

/** A file to be fetched. */
export interface Download {
  /** For messages and progress. */
  readonly name: string
  /** http or https. */
  readonly url: string
  readonly bytes: number
  /** How it is asked for, where not by the plain way. */
  readonly fetch?: typeof fetch
}

/**
 * Fetches into `part`, from where an earlier attempt stopped. Bytes are written at their own positions, so that two processes at
 * work on the same file do each other no harm. The contents are not checked here.
 * @throws E_DOWNLOAD where the server refuses or the connection breaks; the signal's reason when aborted.
 */
export async function download(job: Download, part: string, ctx: Context): Promise<void> {
  const { name, bytes } = job
  const file = await open(part, 'a+').then(async (created) => {
    await created.close()
    return open(part, 'r+')
  })
  try {
    const have = Math.min((await file.stat()).size, bytes)
    if (have === bytes) return
    const response = await request(job, have, ctx)
    // A server that knows no ranges sends everything.
    await receive({ name, bytes, start: response.status === 206 ? have : 0 }, response, file, ctx)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function request({ name, url, fetch: ask = fetch }: Download, have: number, ctx: Context): Promise<Response> {
  const headers = { 'accept-encoding': 'identity', ...(have > 0 && { range: `bytes=${have}-` }) }
  const response = await whileFetching(name, ctx, () => ask(url, { headers, signal: ctx.signal }))
  const starts = response.headers.get('content-range')?.startsWith(`bytes ${have}-`)
  if (response.status === 200 || (response.status === 206 && starts)) return response
  await response.body?.cancel()
  throw failed(name, `the server answered ${response.status} ${response.statusText}`)
}

interface Range {
  readonly name: string
  /** Where the body begins in the file. */
  readonly start: number
  /** Size of the whole file. */
  readonly bytes: number
}

async function receive(
  { name, start, bytes }: Range,
  response: Response,
  file: FileHandle,
  ctx: Context,
): Promise<void> {
  let done = start
  await whileFetching(name, ctx, async () => {
    for await (const chunk of response.body ?? []) {
      if (done + chunk.length > bytes) throw failed(name, `the server sent more than the ${bytes} bytes expected`)
      await file.write(chunk, 0, chunk.length, done)
      done += chunk.length
      ctx.progress({ task: `fetching ${name}`, done, total: bytes, unit: 'bytes' })
      // Node 20 never answers a read of a body that was aborted while its last piece was in hand.
      ctx.signal.throwIfAborted()
    }
  })
  if (done < bytes) throw failed(name, `the connection ended after ${done} of ${bytes} bytes`)
}

/** Gives network failures their error; those of the disk and an abort stay what they are. */
async function whileFetching<T>(name: string, ctx: Context, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    ctx.signal.throwIfAborted()
    // The network's failures are TypeErrors that carry their reason as a cause.
    if (!(error instanceof TypeError)) throw error
    const reason = error.cause instanceof Error ? error.cause.message : error.message
    throw failed(name, reason, error)
  }
}

function failed(name: string, reason: string, cause?: unknown): WhicheditError {
  return new WhicheditError('E_DOWNLOAD', { name, reason }, { cause })
}
