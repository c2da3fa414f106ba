/**
 * Puts the seconds of both programs beside each other, for docs/methods.md: what tools/eval/editors.mjs measured of ours on a few
 * facts, and tools/eval/reference.py of the public code on the same, one after the other on a machine that does nothing else.
 *
 *   node tools/eval/times.mjs ours.json reference.json     writes docs/measured/times.json
 */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const [ours, reference] = await Promise.all(
  process.argv.slice(2, 4).map(async (file) => JSON.parse(await readFile(file, 'utf8'))),
)
const [{ machine, node }] = ours.results
const { model, cases, about } = ours
const { versions, easyedit, threads, date } = reference
const theirs = Object.fromEntries(reference.results.map((result) => [result.method, result]))
const methods = Object.fromEntries(
  ours.results.map(({ method, prepareS, editS }) => [
    method,
    { prepareS, editS, publicPrepareS: theirs[method]?.prepareS ?? null, publicEditS: theirs[method]?.editS ?? null },
  ]),
)
const times = { model, about, facts: cases.length, date, machine, node, versions, easyedit, threads, methods }
const file = fileURLToPath(new URL('../../docs/measured/times.json', import.meta.url))
await writeFile(file, `${JSON.stringify(times, null, 1)}\n`)
