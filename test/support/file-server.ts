/** Web servers on this machine that serve files, well or badly; closed after the file's tests. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { afterAll } from 'vitest'

/** How the server misbehaves. */
export interface ServerHabits {
  /** Ignores ranges, as some servers do. */
  readonly wholeOnly?: boolean
  /** Breaks the connection after so many bytes of each answer. */
  readonly breakAfter?: number
  readonly status?: number
  /** Sends more than there is. */
  readonly extra?: number
}

/** A running server. */
export interface FileServer {
  readonly url: string
  /** The Range header of each request, or `all`. */
  readonly requests: string[]
  /** The Authorization header of each request, or `none`. */
  readonly authorizations: string[]
}

/** Serves `bytes` under any path. */
export async function serveFile(bytes: Uint8Array, habits: ServerHabits = {}): Promise<FileServer> {
  const requests: string[] = []
  const authorizations: string[] = []
  const url = await listen((request, response) => {
    requests.push(request.headers.range ?? 'all')
    authorizations.push(request.headers.authorization ?? 'none')
    sendFile(bytes, habits, request, response)
  })
  return { url, requests, authorizations }
}

/** Starts a server and returns its address. */
export async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return `http://127.0.0.1:${address.port}`
}

/** Answers a request for a file. */
export function sendFile(
  bytes: Uint8Array,
  habits: ServerHabits,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (habits.status !== undefined) {
    response.writeHead(habits.status).end()
    return
  }
  const start = habits.wholeOnly ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const body = Buffer.concat([bytes.subarray(start), Buffer.alloc(habits.extra ?? 0)])
  const range = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }
  response.writeHead(start > 0 ? 206 : 200, { 'content-length': body.length, ...(start > 0 && range) })
  if (habits.breakAfter === undefined) response.end(body)
  else response.write(body.subarray(0, habits.breakAfter), () => setTimeout(() => response.destroy(), 20))
}
