/**
 * Puts what both programs reach beside each other, for docs/methods.md: what tools/eval/editors.mjs measured of ours, and
 * tools/eval/reference.py of the public code on the same facts, or on the first of them, with the same settings.
 *
 *   node tools/eval/rates.mjs ours.json reference.json …     adds to docs/measured/public/, a file named as that of ours
 */
import { readFile } from 'node:fs/promises'
import { averages, keep, measuredFile, readKept } from './measured.mjs'

/** What both measure of a fact. */
const RATES = ['rewrite', 'paraphrase', 'es', 'ps', 'agree']

const files = process.argv.slice(2)
for (let i = 0; i < files.length; i += 2) await add(await readReport(files[i]), await readReport(files[i + 1]))

async function add(ours, { date, versions, easyedit, text, results }) {
  const { model, facts } = ours
  const file = measuredFile(ours, 'public/')
  const saved = await readKept(file, { model, facts, methods: {} })
  for (const theirs of results) {
    const own = ours.results.find(({ method }) => method === theirs.method)
    const rows = theirs.rows.map(({ id }) => findRow(own, id))
    saved.methods[theirs.method] = {
      facts: rows.length,
      batch: theirs.batch,
      date,
      versions,
      easyedit,
      text,
      ours: averages(rows, RATES),
      theirs: averages(theirs.rows, RATES),
    }
  }
  await keep(file, saved)
}

function findRow({ method, rows }, id) {
  const found = rows.find((row) => row.id === id)
  if (found === undefined) throw new Error(`${method}: fact ${id} was not measured with ours`)
  return found
}

async function readReport(file) {
  return JSON.parse(await readFile(file, 'utf8'))
}
