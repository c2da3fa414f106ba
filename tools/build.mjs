/**
 * Makes what runs out of what is written: `dist` (tsc), and `oclif.manifest.json`, which lets `--help` answer without
 * loading a single command. `--if-stale` does nothing where both are newer than the sources.
 * Two builds at once take turns; a build that finds another's fresh result keeps it.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Plugin } from '@oclif/core'
import lockfile from 'proper-lockfile'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DIST = join(ROOT, 'dist')
const STAMP = join(DIST, '.built')
const MANIFEST = join(ROOT, 'oclif.manifest.json')
const SOURCES = ['src', 'package.json', 'tsconfig.json', 'tools/build.mjs']
/** Half a minute for another build to end, then its lock counts as stale. */
const LOCK = { stale: 30_000, retries: { retries: 120, minTimeout: 250, maxTimeout: 250 }, realpath: false }

mkdirSync(DIST, { recursive: true })
const release = await lockfile.lock(DIST, LOCK)
try {
  if (!process.argv.includes('--if-stale') || isStale()) await build()
} finally {
  await release()
}

async function build() {
  const startedAt = new Date()
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.json')], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
  removeOrphans()
  await writeManifest()
  writeFileSync(STAMP, `${startedAt.toISOString()}\n`)
}

function isStale() {
  if (!existsSync(STAMP) || !existsSync(MANIFEST)) return true
  const builtAt = Date.parse(readFileSync(STAMP, 'utf8'))
  return SOURCES.some((source) => newest(join(ROOT, source)) > builtAt)
}

/** The newest change in a file or a folder, in milliseconds since 1970. */
function newest(path) {
  const info = statSync(path)
  if (!info.isDirectory()) return info.mtimeMs
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), info.mtimeMs)
}

/** Takes away what was compiled from sources that are gone: oclif would still offer such a command. */
function removeOrphans() {
  for (const file of readdirSync(DIST, { recursive: true })) {
    const source = file.replace(/\.(d\.ts|js\.map|js)$/, '.ts')
    if (source !== file && !existsSync(join(ROOT, 'src', source))) rmSync(join(DIST, file), { force: true })
  }
}

/** oclif's own description of every command. Defaults that depend on the environment are left out of it. */
async function writeManifest() {
  const options = {
    root: ROOT,
    type: 'core',
    ignoreManifest: true,
    errorOnManifestCreate: true,
    respectNoCacheDefault: true,
  }
  const plugin = new Plugin(options)
  await plugin.load()
  writeFileSync(`${MANIFEST}.part`, `${JSON.stringify(plugin.manifest, null, 2)}\n`)
  renameSync(`${MANIFEST}.part`, MANIFEST)
}
