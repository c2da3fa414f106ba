/**
 * Puts the seconds of both programs beside each other, for docs/methods.md: what tools/eval/editors.mjs measured of ours on a few
 * facts, and tools/eval/reference.py of the public code on the same, one after the other on a machine that does nothing else, with
 * as many threads.
 *
 *   node tools/eval/times.mjs ours.json reference.json     adds to docs/measured/public/times.json
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { keep } from './measured.mjs'

const KEY = ['method', 'model', 'facts', 'batch']
const FILE = fileURLToPath(new URL('../../docs/measured/public/times.json', import.meta.url))
const [ours, reference, saved] = await Promise.all([...process.argv.slice(2, 4), FILE].map(readJson))
const { model, facts, batch, cases, results } = ours
const { versions, easyedit, threads, date } = reference
const measured = results.map(({ method, machine, node, prepareS, editS }) => {
  const theirs = reference.results.find((result) => result.method === method)
  return {
    method,
    model,
    facts,
    cases: cases.length,
    batch,
    date,
    machine,
    node,
    versions,
    easyedit,
    threads,
    prepareS,
    editS,
    publicPrepareS: theirs?.prepareS ?? null,
    publicEditS: theirs?.editS ?? null,
  }
})
const isMeasured = (old) => measured.some((one) => KEY.every((key) => one[key] === old[key]))
await keep(FILE, [...saved.filter((old) => !isMeasured(old)), ...measured])

async function readJson(file) {
  return JSON.parse(await readFile(file, 'utf8'))
}
