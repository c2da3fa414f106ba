/**
 * Writes the documents that say what is there: docs/models.md and docs/methods.md.
 *
 *   npm run docs              writes them
 *   npm run docs -- --check   ends with an error where one is out of date
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { writeMethods } from './docs/methods.mjs'
import { MODELS } from './docs/models.mjs'

const DOCUMENTS = { 'docs/models.md': MODELS, 'docs/methods.md': await writeMethods() }

for (const [path, text] of Object.entries(DOCUMENTS)) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url))
  if (!process.argv.includes('--check')) writeFileSync(file, text)
  else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
    console.error(`${path} is out of date: npm run docs`)
    process.exitCode = 1
  }
}
