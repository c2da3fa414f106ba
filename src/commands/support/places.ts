/** Where things lie on this machine: models where other tools look for them too, runs in the project. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { WhicheditError } from '../../errors.ts'
import type { AccessToken, Hub } from '../../models/hub.ts'
import type { ModelPlaces } from '../../models/hub-cache.ts'

/** The runs of a project, in the folder the command is run in. */
export const RUNS_FOLDER = join('.whichedit', 'runs')

/** Layers that were found for models, with what was measured. */
export const SITES_FOLDER = join('.whichedit', 'sites')

/** The runs by which they were found: no run that a ranking would take for its own. */
export const SWEEPS_FOLDER = join('.whichedit', 'sweeps')

const PUBLIC_HUB = 'https://huggingface.co'

/** The Hugging Face cache, as its own tools find it: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, the home folder. */
export function modelPlaces(): ModelPlaces {
  return { hubCache: process.env.HF_HUB_CACHE || join(hubHome(), 'hub') }
}

/**
 * The hub, as its own tools find it (HF_ENDPOINT), with the access token that they would show (HF_TOKEN, or the file that
 * `hf auth login` writes).
 * @throws E_HUB_UNREACHABLE where the address is none, E_HUB_TOKEN where the token cannot be one.
 */
export async function hubAccess(): Promise<Hub> {
  const { HF_ENDPOINT, HF_HUB_OFFLINE } = process.env
  const endpoint = checkEndpoint(HF_ENDPOINT || PUBLIC_HUB)
  const token = await findToken()
  // What no header takes would come back in an error message.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token.value)) {
    throw new WhicheditError('E_HUB_TOKEN', { endpoint, source: token.source })
  }
  return { endpoint, offline: /^(1|on|yes|true)$/i.test(HF_HUB_OFFLINE ?? ''), ...(token && { token }) }
}

function checkEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain =
    url !== undefined && /^https?:$/.test(url.protocol) && `${url.username}${url.password}${url.search}` === ''
  if (isPlain) return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
  const reason = 'HF_ENDPOINT is not a plain http or https address'
  throw new WhicheditError('E_HUB_UNREACHABLE', { endpoint: url?.host ?? '?', reason })
}

async function findToken(): Promise<AccessToken | undefined> {
  const { HF_TOKEN, HF_TOKEN_PATH } = process.env
  const given = HF_TOKEN?.trim()
  if (given) return { value: given, source: 'HF_TOKEN' }
  const source = HF_TOKEN_PATH || join(hubHome(), 'token')
  const kept = (await readFile(source, 'utf8').catch(() => '')).trim()
  return kept === '' ? undefined : { value: kept, source }
}

function hubHome(): string {
  const { HF_HOME, XDG_CACHE_HOME } = process.env
  return HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface')
}
