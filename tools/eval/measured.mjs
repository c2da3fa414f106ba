/** What the scripts beside this share: averages over facts, and the files in docs/measured/ that keep them. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, extname } from 'node:path'
import { fileURLToPath } from 'node:url'

const MEASURED = fileURLToPath(new URL('../../docs/measured/', import.meta.url))

/** The file of a model, a set of facts and a way of editing, in `folder` of docs/measured/. */
export function measuredFile({ model, facts, batch, inARow }, folder = '') {
  const way = [...(batch === 1 ? [] : [`batch-${batch}`]), ...(inARow === 1 ? [] : [`row-${inARow}`])]
  return `${MEASURED}${folder}${[model, basename(facts, extname(facts)).replaceAll(':', '-'), ...way].join('-')}.json`
}

/** What a file keeps, or `fresh` where there is none yet. */
export async function readKept(file, fresh) {
  const text = await readFile(file, 'utf8').catch(() => null)
  return text === null ? fresh : JSON.parse(text)
}

/** Keeps a value in a file. */
export async function keep(file, value) {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, `${JSON.stringify(value, null, 1)}\n`)
}

/** Means over the facts that have such prompts; null where none has. */
export function averages(rows, names) {
  return Object.fromEntries(
    names.map((name) => {
      const values = rows.map((row) => row[name]).filter(Number.isFinite)
      return [name, values.length === 0 ? null : mean(values)]
    }),
  )
}

/** Mean of numbers. */
export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
