// Stands in for Python's pip: `node fake-pip.mjs SETTINGS …`. SETTINGS is JSON: {link?, links?, wheel?, log?}.
// It names `link`, or the package's own of `links`, as what an index holds, and `download` copies the file `wheel` or fails as pip does.
import { appendFileSync, copyFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const [settings, ...args] = process.argv.slice(2)
const { link: only, links = {}, wheel, log } = JSON.parse(settings)
const link = args[0] === 'index' ? (links[args[2]] ?? only) : only
if (log) appendFileSync(log, `${args[0]}\n`)
if (args[0] === '--version') console.log('pip 23.2.1 from somewhere (python 3.11)')
if (args[0] === 'index') {
  console.error('WARNING: pip index is currently an experimental command.')
  if (link)
    console.log(`  Found link ${link}#sha256=00 (from http://127.0.0.1/simple/) (requires-python:>=3.9), version: 1.0`)
}
if (args[0] === 'download') {
  if (!wheel) {
    console.error(
      'ERROR: Could not find a version that satisfies the requirement\nERROR: No matching distribution found for it',
    )
    process.exit(1)
  }
  copyFileSync(wheel, join(args[args.indexOf('--dest') + 1], basename(wheel)))
}
