/** `npm start`: from a fresh clone to a ranking of every method on a real model, with nothing asked. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const ADVISE = 'advise --model smollm2-135m --facts countries --cases 16 --profile balanced --no-input'

run('Setting up: packages, build, and the models SmolLM2-135M and MiniLM (190 MB, once).', [
  'tools/setup.mjs',
  '--need-model',
])
run(`Ranking the editing methods: whichedit ${ADVISE}`, ['bin/run.js', ...ADVISE.split(' '), ...process.argv.slice(2)])

function run(title, command) {
  const startedAt = performance.now()
  process.stderr.write(`${title}\n`)
  const { status } = spawnSync(process.execPath, command, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
  process.stderr.write(`Done in ${((performance.now() - startedAt) / 1000).toFixed(0)} s.\n`)
}
