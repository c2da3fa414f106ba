/**
 * Makes what ships prepared with atlas: `node tools/atlas/prepare.mjs`. Trains in a cache of its own what methods take long to train, with
 * the facts and the seed that `npm start` uses, and puts it with its recorded cost into models/atlas/prepared.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EDITORS } from '../../dist/index.js'

/** Folders of the cache with what was trained: a method that leaves nothing there is prepared in a moment, and does not ship. */
const TRAINED = ['trained', 'trainings', 'scope-maps']
/** What ships besides: what training began from, and what it cost. */
const BESIDE = ['sentence-vectors', 'preparation-costs']

const root = fileURLToPath(new URL('../..', import.meta.url))
const prepared = join(root, 'models', 'atlas', 'prepared')
const made = mkdtempSync(join(tmpdir(), 'whichedit-prepared-'))
// What ships already would be found, and not made.
rmSync(prepared, { recursive: true, force: true })
for (const { name, needs } of Object.values(EDITORS)) if (needs.includes('training-facts')) prepare(name)
cpSync(made, prepared, { recursive: true })
rmSync(made, { recursive: true, force: true })

/** Trains one method in a cache of its own. */
function prepare(method) {
  const cache = mkdtempSync(join(tmpdir(), 'whichedit-atlas-'))
  const { status } = spawnSync(
    process.execPath,
    [join(root, 'bin', 'run.js'), 'models', 'train', 'atlas', '--for', method],
    // Elsewhere there is no encoder of sentences either: what is trained must not depend on one.
    { stdio: 'inherit', env: { ...process.env, XDG_CACHE_HOME: cache, HF_HOME: join(cache, 'none') } },
  )
  const has = (folder) => existsSync(join(cache, 'whichedit', folder))
  if (status === 0 && TRAINED.some(has)) {
    for (const folder of [...TRAINED, ...BESIDE].filter(has)) {
      cpSync(join(cache, 'whichedit', folder), join(made, folder), { recursive: true })
    }
  }
  rmSync(cache, { recursive: true, force: true })
  if (status !== 0) process.exit(status ?? 1)
}
