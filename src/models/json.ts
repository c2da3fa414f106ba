/** Reads the JSON files of a model folder: bounded in size, and refused where a name is given twice (parsers disagree on which one counts). */
import { open } from 'node:fs/promises'
import { WhicheditError } from '../errors.ts'

/** A value of a JSON file. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json }

/** The largest tokenizer files in use hold 35 MB; a text of this size still fits a JavaScript string with room to spare. */
const MAX_JSON_BYTES = 128 * 2 ** 20
/** Values within values: real files have about ten, and whoever walks through them may run out of stack at some thousands. */
const MAX_DEPTH = 100
/** As much of a value as a message shows. */
const SHOWN_CHARACTERS = 80

/** Says whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Reads a file that holds one JSON object.
 * @throws E_JSON where it is too large, not JSON, not an object, nested too deeply, or names something twice.
 */
export async function readJsonObject(file: string): Promise<JsonObject> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    if (size > MAX_JSON_BYTES) throw jsonError(file, `${size} bytes (more than ${MAX_JSON_BYTES})`)
    return parseJsonObject(await handle.readFile(), file)
  } finally {
    await handle.close()
  }
}

/**
 * Parses the bytes of one JSON object; `file` is for messages.
 * @throws E_JSON as {@link readJsonObject} does.
 */
export function parseJsonObject(bytes: Uint8Array, file: string): JsonObject {
  let text: string
  let value: Json
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    value = JSON.parse(text) as Json
  } catch (cause) {
    throw jsonError(file, cause instanceof Error ? cause.message : String(cause), cause)
  }
  if (!isObject(value)) throw jsonError(file, 'a value of another kind')
  const repeated = repeatedKey(text, file)
  if (repeated !== undefined) throw jsonError(file, `the name ${JSON.stringify(repeated)} twice`)
  return value
}

/** A value as a message shows it: its JSON, cut where it is long. */
export function shownJson(value: Json | undefined): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
}

/** The first key that an object of this JSON text holds twice. The text is known to be valid. */
function repeatedKey(text: string, file: string): string | undefined {
  const open: (Set<string> | undefined)[] = [] // the keys of each object that is open; undefined for an array
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (open.length > MAX_DEPTH) throw jsonError(file, `values more than ${MAX_DEPTH} levels deep`)
    if (character === '{') open.push(new Set())
    else if (character === '[') open.push(undefined)
    else if (character === '}' || character === ']') open.pop()
    else if (character === '"') {
      const end = endOfString(text, at)
      const keys = open.at(-1)
      if (keys !== undefined && isFollowedByColon(text, end)) {
        const key = JSON.parse(text.slice(at, end)) as string
        if (keys.has(key)) return key
        keys.add(key)
      }
      at = end - 1
    }
  }
  return undefined
}

function endOfString(text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function isFollowedByColon(text: string, at: number): boolean {
  const blank = /\s*/y
  blank.lastIndex = at
  blank.test(text)
  return text[blank.lastIndex] === ':'
}

function jsonError(file: string, found: string, cause?: unknown): WhicheditError {
  return new WhicheditError('E_JSON', { file, found }, { cause })
}
