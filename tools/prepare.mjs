/**
 * Trains what a method prepares for a model that ships, and puts it where it ships: `models/prepared/`. Not for users, whose
 * preparations are made when they are needed.
 *
 *   node tools/prepare.mjs --model atlas --facts world:train --method NAME
 */
import { copyFile, mkdir, mkdtemp, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { modelPlaces } from '../dist/commands/support/places.js'
import { createRandom, EDITORS, loadHparams, loadModel, readFacts } from '../dist/index.js'

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'atlas' },
    facts: { type: 'string', default: 'world:train' },
    method: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})
const SHIPPED = fileURLToPath(new URL('../models/prepared/', import.meta.url))

const cacheDir = await mkdtemp(join(tmpdir(), 'whichedit-prepare-'))
const ctx = {
  random: createRandom(options.seed),
  signal: new AbortController().signal,
  progress: ({ done, total, loss }) => {
    if (done % 10 === 0) console.error(`${done}/${total} loss ${loss?.toFixed(3)}`)
  },
  cacheDir,
  now: () => performance.now(),
}
const model = await loadModel(options.model, modelPlaces(), ctx)
const editor = EDITORS[options.method]
const hparams = await loadHparams(editor, model.config)
const { facts } = await readFacts(options.facts)
const startedAt = performance.now()
await editor.prepare({ model, hparams, material: { text: null, facts } }, ctx)
const seconds = (performance.now() - startedAt) / 1000
await model.close()
const made = await readdir(join(cacheDir, 'trained')).catch(() => [])
if (made.length === 0) console.error('Nothing was trained: it ships already. Remove its file first.')
await mkdir(SHIPPED, { recursive: true })
for (const name of made) {
  // What ships is found without the hash of the facts, which is last.
  const shipped = join(SHIPPED, name.replace(/-[0-9a-f]+\.bin$/, '.bin'))
  await copyFile(join(cacheDir, 'trained', name), shipped)
  console.log(`${shipped}: ${((await stat(shipped)).size / 1e6).toFixed(2)} MB, ${seconds.toFixed(0)} s`)
}
