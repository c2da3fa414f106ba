/**
 * Puts what both programs reach beside each other, for docs/methods.md: what tools/eval/editors.mjs measured of ours, and
 * tools/eval/reference.py of the public code on the same facts, or on the first of them, with the same settings.
 *
 *   node tools/eval/rates.mjs ours.json reference.json …     adds to docs/measured/public/<model>-<facts>.json
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What both measure of a fact. */
const RATES = ['rewrite', 'paraphrase', 'es', 'ps', 'agree']
const PUBLIC = fileURLToPath(new URL('../../docs/measured/public/', import.meta.url))

const files = process.argv.slice(2)
for (let i = 0; i < files.length; i += 2) await add(await readJson(files[i]), await readJson(files[i + 1]))

async function add(ours, reference) {
  const { model, facts } = ours
  const { versions, easyedit, text, results } = reference
  const file = `${PUBLIC}${model}-${basename(facts, extname(facts))}.json`
  const saved = await readJson(file).catch(() => ({ model, facts, methods: {} }))
  for (const theirs of results) {
    const own = ours.results.find(({ method }) => method === theirs.method)
    const rows = theirs.rows.map(({ id }) => findRow(own, id))
    saved.methods[theirs.method] = {
      facts: rows.length,
      batch: theirs.batch,
      date: reference.date,
      versions,
      easyedit,
      text,
      ours: meansOf(rows),
      theirs: meansOf(theirs.rows),
    }
  }
  await mkdir(PUBLIC, { recursive: true })
  await writeFile(file, `${JSON.stringify(saved, null, 1)}\n`)
}

function findRow({ method, rows }, id) {
  const found = rows.find((row) => row.id === id)
  if (found === undefined) throw new Error(`${method}: fact ${id} was not measured with ours`)
  return found
}

function meansOf(rows) {
  return Object.fromEntries(
    RATES.map((name) => {
      const values = rows.map((row) => row[name]).filter(Number.isFinite)
      return [name, values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length]
    }),
  )
}

async function readJson(file) {
  return JSON.parse(await readFile(file, 'utf8'))
}
