/**
 * A model's own chat template: how a prompt is put as the user's turn, and where the model's answer begins. The only importer
 * of `@huggingface/jinja`. A template is rendered around marks in place of the prompt and the answer: what stands around them is
 * the {@link PromptFrame} of every prompt, so that no prompt is ever read as a part of the template. As `apply_chat_template` of
 * transformers, apart from two things: a template that asks for the date always gets the same one (else the model would be
 * another one tomorrow), and a model that can think before it answers is told not to.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import { WhicheditError } from '../errors.ts'
import { hashOf } from './content-hash.ts'
import type { GgufFile } from './gguf.ts'
import { isObject, type Json, type JsonObject, readJsonObject } from './json.ts'
import type { PromptFrame } from './tokenizer.ts'
import type { ChatTemplate, ModelFiles } from './weights.ts'

/** The files of a model's folder that decide how prompts are put. */
export const CHAT_FILES = ['chat_template.jinja', 'special_tokens_map.json', 'tokenizer_config.json'] as const

/** The largest templates in use have 20 kB. */
const MAX_TEMPLATE_BYTES = 2 ** 20
const TOKENS = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token'] as const

/** Reads the chat template of a Hugging Face folder; null where it has none. @throws E_JSON */
export async function readFolderTemplate(folder: string, files: readonly string[]): Promise<ChatTemplate | null> {
  const read = async (name: (typeof CHAT_FILES)[number]): Promise<JsonObject> =>
    files.includes(name) ? readJsonObject(join(folder, name)) : {}
  const config = await read('tokenizer_config.json')
  const source = files.includes('chat_template.jinja')
    ? await readTemplate(join(folder, 'chat_template.jinja'))
    : templateIn(config.chat_template)
  if (source === undefined) return null
  const named = { ...(await read('special_tokens_map.json')), ...config }
  const tokens = TOKENS.flatMap((name) => {
    const token = named[name]
    const content = isObject(token) ? token.content : token
    return typeof content === 'string' ? [[name, content]] : []
  })
  return { source, tokens: Object.fromEntries(tokens) }
}

async function readTemplate(file: string): Promise<string> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    if (size > MAX_TEMPLATE_BYTES) {
      throw refuse(file, `at most ${MAX_TEMPLATE_BYTES} bytes`, `${size}`)
    }
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}

/** One template, or several by name, of which one is for everything else. */
function templateIn(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value
  const named = Array.isArray(value) ? value.filter(isObject) : []
  const template = named.find(({ name }) => name === 'default')?.template
  return typeof template === 'string' ? template : undefined
}

/** Reads the chat template of a GGUF file; null where it has none. */
export function ggufTemplate({ metadata }: GgufFile): ChatTemplate | null {
  const source = metadata.get('tokenizer.chat_template')
  if (typeof source !== 'string') return null
  const names = metadata.get('tokenizer.ggml.tokens')
  const tokens = ['bos', 'eos'].flatMap((kind) => {
    const id = metadata.get(`tokenizer.ggml.${kind}_token_id`)
    const name = Array.isArray(names) && typeof id === 'number' ? names[id] : undefined
    return typeof name === 'string' ? [[`${kind}_token`, name]] : []
  })
  return { source, tokens: Object.fromEntries(tokens) }
}

/**
 * The same model, asked through its chat template: a prompt is the user's turn, and what it is to answer, or says, the model's.
 * Another model to everything that asks, with a name and a fingerprint of its own: what methods learn about it in advance, such as
 * statistics of its activations, they learn from chats.
 * @throws E_CHAT_TEMPLATE where there is no template, or it fails, or a prompt does not stand in it once.
 */
export function inChat(files: ModelFiles): ModelFiles {
  const frame = frameOf(files.chatTemplate, files.name)
  const { before, after, lead, closing, trims } = frame
  return {
    ...files,
    name: `${files.name} (chat)`,
    fingerprint: hashOf([files.fingerprint, JSON.stringify({ before, after, lead, closing, trims })]),
    tokenizer: files.tokenizer.framed(frame),
  }
}

/** Reads what was kept as JSON: a template, or null for none; undefined where it is neither. */
export function parseTemplate(value: Json | undefined): ChatTemplate | null | undefined {
  if (value === null) return null
  if (!isObject(value) || typeof value.source !== 'string' || !isObject(value.tokens)) return undefined
  const tokens = Object.entries(value.tokens).map(([name, token]) => [name, String(token)])
  return { source: value.source, tokens: Object.fromEntries(tokens) }
}

/** What stands in place of a prompt and an answer: code points that Unicode keeps out of texts. */
const PROMPT = '\uFDD2'
const ANSWER = '\uFDD3'

/**
 * What a template puts around a prompt as the user's only turn, and around the answer to it. `model` is for messages.
 * @throws E_CHAT_TEMPLATE where there is no template, or it fails, or a prompt does not stand in it once.
 */
export function frameOf(template: ChatTemplate | null, model: string): PromptFrame {
  if (template === null) throw refuse(model, "a chat template in the model's files", 'none')
  const asked = (content: string): string => render(template, [{ role: 'user', content }], model)
  const opened = asked(PROMPT)
  const [before, after, ...more] = opened.split(PROMPT)
  if (before === undefined || after === undefined || more.length > 0) {
    const found = after === undefined ? 'one that leaves it out' : 'one that repeats it'
    throw refuse(model, 'a chat template that holds the prompt once', found)
  }
  return { before, after, trims: asked(` ${PROMPT} `) === opened, ...aroundAnswer(template, opened, model) }
}

/** What stands between a prompt's frame and the answer, and after it. */
function aroundAnswer(template: ChatTemplate, opened: string, model: string): Pick<PromptFrame, 'lead' | 'closing'> {
  const turns = [
    { role: 'user', content: PROMPT },
    { role: 'assistant', content: ANSWER },
  ]
  const [upTo, closing] = render(template, turns, model, false).split(ANSWER)
  // Where an answer of the past is shown otherwise than one that begins, nothing is known of the space before it.
  const lead = upTo?.startsWith(opened) && closing !== undefined ? upTo.slice(opened.length) : ''
  return { lead, closing: closing ?? '' }
}

interface Turn {
  readonly role: string
  readonly content: string
}

function render({ source, tokens }: ChatTemplate, messages: readonly Turn[], model: string, opens = true): string {
  const variables = {
    ...tokens,
    messages,
    add_generation_prompt: opens,
    enable_thinking: false,
    tools: null,
    documents: null,
  }
  try {
    const environment = new Environment()
    for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value)
    const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }))
    const rendered = new Interpreter(environment).run(program)
    return String(rendered.value)
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause)
    throw refuse(model, 'a chat template that takes a prompt and an answer', found, cause)
  }
}

/** Names and functions that templates take for granted. */
const GLOBALS = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range,
  raise_exception: (message: string): never => {
    throw new Error(message)
  },
  strftime_now: (format: string): string => format.replace(/%([a-zA-Z])/g, (_, part: string) => DATE[part] ?? ''),
}

/** 26 July 2024, the date that Llama 3's template names where it is told none. */
const DATE: Readonly<Record<string, string>> = {
  d: '26',
  m: '07',
  b: 'Jul',
  B: 'July',
  Y: '2024',
  y: '24',
  A: 'Friday',
  a: 'Fri',
  H: '00',
  M: '00',
  S: '00',
}

/** No template counts further. */
const MAX_RANGE = 10_000

function range(from: number, to?: number, step = 1): number[] {
  const [start, end] = to === undefined ? [0, from] : [from, to]
  const length = Math.max(0, Math.ceil((end - start) / step))
  if (!(length <= MAX_RANGE)) throw new Error(`a range of ${length} numbers`)
  return Array.from({ length }, (_, i) => start + i * step)
}

function refuse(model: string, expected: string, found: string, cause?: unknown): WhicheditError {
  return new WhicheditError('E_CHAT_TEMPLATE', { model, expected, found }, { cause })
}
