/** A hub on this machine: the part of the Hugging Face hub's interface that is used, with every way to misbehave. */
import { createHash } from 'node:crypto'
import type { Hub } from '../../src/models/hub.ts'
import { listen, type ServerHabits, sendFile } from './file-server.ts'

/** The commit that every revision of the hub's repositories leads to. */
export const COMMIT = '0123456789abcdef0123456789abcdef01234567'
export const TOKEN = 'hf_secretSECRETsecret'

/** An answer that is given instead of the right one. */
export interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

/** What the hub holds and how it behaves. */
export interface HubPlan {
  /** By path. A name that ends in safetensors, gguf or bin is kept as the hub keeps large files. */
  readonly files: Readonly<Record<string, Buffer>>
  /** The address of another server that large files are fetched from. */
  readonly storage?: string
  /** How many files a page of the listing holds. */
  readonly pageSize?: number
  /** How files are sent. */
  readonly habits?: ServerHabits
  /** Changes a file's row in the listing. */
  readonly entry?: (row: Row) => unknown
  /** Answers instead of the hub; called with the path asked for and how often that was asked for before. */
  readonly instead?: (path: string, before: number) => Answer | undefined
}

/** A running hub. */
export interface HubServer {
  readonly hub: Hub
  /** The paths asked for, with their ranges. */
  readonly requests: string[]
  /** The Authorization header of each request, or `none`. */
  readonly authorizations: string[]
}

/** Runs a hub whose only repository is `someone/small`. */
export async function serveHub(plan: HubPlan): Promise<HubServer> {
  const requests: string[] = []
  const authorizations: string[] = []
  const counts = new Map<string, number>()
  const url = await listen((request, response) => {
    const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://hub')
    requests.push([path, request.headers.range ?? []].flat().join(' '))
    authorizations.push(request.headers.authorization ?? 'none')
    const before = counts.get(path) ?? 0
    counts.set(path, before + 1)
    const json = (value: unknown, headers = {}): void => {
      response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
    }
    const other = plan.instead?.(path, before)
    if (other !== undefined) {
      response.writeHead(other.status ?? 200, { ...other.headers }).end(other.body ?? '')
    } else if (path.startsWith('/api/models/someone/small/revision/')) {
      json({ _id: '1', id: 'someone/small', sha: COMMIT, gated: false, cardData: { license: 'mit' } })
    } else if (path === `/api/models/someone/small/tree/${COMMIT}`) {
      const rows = Object.entries(plan.files).map(([name, bytes]) => rowOf(name, bytes))
      const size = plan.pageSize ?? rows.length
      const start = Number(searchParams.get('cursor') ?? 0)
      const next = start + size < rows.length && `<${url}${path}?recursive=true&cursor=${start + size}>; rel="next"`
      const page = rows.slice(start, start + size).map((row) => plan.entry?.(row) ?? row)
      json([{ type: 'directory', path: 'folder', size: 0, oid: COMMIT }, ...page], next ? { link: next } : {})
    } else {
      const name = decodeURIComponent(path).replace(`/someone/small/resolve/${COMMIT}/`, '')
      const bytes = plan.files[name]
      for (const [header, value] of Object.entries(bytes ? headersOf(name, bytes) : {}))
        response.setHeader(header, value)
      if (bytes === undefined) response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end()
      else if (plan.storage === undefined || !isLarge(name)) sendFile(bytes, plan.habits ?? {}, request, response)
      else response.writeHead(302, { location: `${plan.storage}/${name}` }).end()
    }
  })
  return { hub: { endpoint: url, pauseMs: 1 }, requests, authorizations }
}

/** A row of the listing. */
interface Row {
  readonly type: 'file'
  readonly path: string
  readonly size: number
  readonly oid: string
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number }
}

function rowOf(path: string, bytes: Buffer): Row {
  const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
  const lfs = { oid: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, pointerSize: 134 }
  return { type: 'file', path, size: bytes.length, oid, ...(isLarge(path) && { lfs }) }
}

/** What Python's client asks of a hub; a large file's own headers come from its storage. */
function headersOf(path: string, bytes: Buffer): Record<string, string> {
  const { oid, lfs } = rowOf(path, bytes)
  const linked = lfs && { 'x-linked-etag': `"${lfs.oid}"`, 'x-linked-size': String(bytes.length) }
  return { 'x-repo-commit': COMMIT, etag: `"${oid}"`, ...linked }
}

function isLarge(path: string): boolean {
  return /\.(safetensors|gguf|bin)$/.test(path)
}
