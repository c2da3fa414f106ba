/** `npm start`: from a fresh clone to a ranking of every method on the model that ships, with nothing asked or fetched but packages. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const ADVISE = 'advise --cases 16 --profile balanced --no-input'

run('Setting up: packages and build.', ['tools/setup.mjs', '--no-models'])
run(`Ranking the editing methods: whichedit ${ADVISE}`, ['bin/run.js', ...ADVISE.split(' '), ...process.argv.slice(2)])

function run(title, command) {
  const startedAt = performance.now()
  process.stderr.write(`${title}\n`)
  const { status } = spawnSync(process.execPath, command, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
  process.stderr.write(`Done in ${((performance.now() - startedAt) / 1000).toFixed(0)} s.\n`)
}
