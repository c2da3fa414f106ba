/**
 * Makes what ships prepared with atlas: `node tools/atlas/prepare.mjs`. Trains in a cache of its own what methods take long to train, with
 * the facts and the seed that `npm start` uses, and puts it with its recorded cost into models/atlas/prepared.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Methods that train for longer than a newcomer would wait. */
const METHODS = 'mend,serac'
/** Folders of the cache with what was trained; the rest is made again in a moment. */
const KEPT = ['trained', 'trainings', 'scope-maps', 'sentence-vectors', 'preparation-costs']

const root = fileURLToPath(new URL('../..', import.meta.url))
const prepared = join(root, 'models', 'atlas', 'prepared')
// What ships already would be found, and not made.
rmSync(prepared, { recursive: true, force: true })
const cache = mkdtempSync(join(tmpdir(), 'whichedit-atlas-'))
const { status } = spawnSync(
  process.execPath,
  [join(root, 'bin', 'run.js'), 'models', 'train', 'atlas', '--for', METHODS],
  // Elsewhere there is no encoder of sentences either: what is trained must not depend on one.
  { stdio: 'inherit', env: { ...process.env, XDG_CACHE_HOME: cache, HF_HOME: join(cache, 'none') } },
)
if (status === 0) {
  for (const folder of KEPT) {
    const made = join(cache, 'whichedit', folder)
    if (existsSync(made)) cpSync(made, join(prepared, folder), { recursive: true })
  }
}
rmSync(cache, { recursive: true, force: true })
process.exit(status ?? 1)
