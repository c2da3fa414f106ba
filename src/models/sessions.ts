/** Compiled graphs of one model, kept by what decides their shape: compiling takes seconds, feeding takes none. */
import { WhicheditError } from '../errors.ts'
import type { Node } from '../graph/graph.ts'
import { Session, type SessionOptions } from '../graph/session.ts'

/** How many sessions stay compiled. Each holds tens of megabytes; a method needs two or three. */
const KEPT_SESSIONS = 12

/** Owns a model's sessions. */
export class Sessions {
  readonly #options: SessionOptions
  // Insertion order is order of use: the first is the one used longest ago.
  readonly #sessions = new Map<string, Promise<Session>>()
  #closed = false

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /** The session of a graph; `build` is called when there is none for the key. @throws E_CLOSED */
  async get(key: string, build: () => Readonly<Record<string, Node>>): Promise<Session> {
    if (this.#closed) throw new WhicheditError('E_CLOSED', {})
    const known = this.#sessions.get(key)
    this.#sessions.delete(key)
    const session = known ?? Session.create(build(), this.#options)
    this.#sessions.set(key, session)
    // A session that could not be made is not kept: the next one who asks tries again.
    session.catch(() => this.#sessions.delete(key))
    const [oldest] = this.#sessions.keys()
    if (this.#sessions.size > KEPT_SESSIONS && oldest !== undefined) await this.#release(oldest)
    return session
  }

  /** Releases all sessions. */
  async close(): Promise<void> {
    this.#closed = true
    for (const key of [...this.#sessions.keys()]) await this.#release(key)
  }

  async #release(key: string): Promise<void> {
    const session = this.#sessions.get(key)
    this.#sessions.delete(key)
    await (await session)?.release()
  }
}
