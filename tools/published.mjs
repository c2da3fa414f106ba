/** What scripts that measure share: the machine in words, and putting a table between a document's markers. */
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, platform, totalmem } from 'node:os'

/** Processor, cores, memory and system, on one line. */
export function describeMachine() {
  const [{ model = 'unknown processor' } = {}] = cpus()
  return `${model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()}`
}

/** Today, as in 2026-01-31. */
export function today() {
  return new Date().toISOString().slice(0, 10)
}

/** Puts text between `<!-- NAME … -->` and `<!-- /NAME -->`; the markers stay. */
export async function putBetween(file, name, text) {
  const place = new RegExp(`(<!-- ${name}[^>]*-->\\n)[\\s\\S]*(<!-- /${name} -->)`)
  const document = await readFile(file, 'utf8')
  if (!place.test(document)) throw new Error(`${file} lacks <!-- ${name} --> and <!-- /${name} -->`)
  await writeFile(
    file,
    document.replace(place, (_, start, end) => `${start}${text}${end}`),
  )
}
