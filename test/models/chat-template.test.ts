/** Chat templates against transformers (tools/golden/chat_templates.py), where they come from, and what is wrong with some. */
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { frameOf, inChat, parseTemplate, readFolderTemplate } from '../../src/models/chat-template.ts'
import { loadModel } from '../../src/models/index.ts'
import type { Json } from '../../src/models/json.ts'
import { findModel } from '../../src/models/locate.ts'
import { openTokenizer } from '../../src/models/tokenizer.ts'
import type { ChatTemplate } from '../../src/models/weights.ts'
import { GOLDEN, put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

interface Golden {
  readonly tokenizer: string
  readonly template: string
  readonly tokens: Readonly<Record<string, string>>
  readonly added: readonly { id: number; content: string }[]
  readonly end: number
  readonly rows: readonly { prompt: string; rendered: string; ids: number[]; answered: number[] }[]
}

const golden = JSON.parse(readFileSync(join(GOLDEN, 'chat-templates.json'), 'utf8'))
const TEMPLATES = ['smollm2', 'llama3', 'gemma', 'mistral', 'mistral-legacy', 'dated'].map((name) => {
  const found = golden[name] as Golden
  return { name, ...found, chatTemplate: { source: found.template, tokens: found.tokens } }
})
const NOWHERE = { hubCache: '' }
const CHATML =
  "{% for m in messages %}{{ '<|endoftext|>' + m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|endoftext|>assistant:' }}{% endif %}"
const plain = (source: string): ChatTemplate => ({ source, tokens: {} })

describe.each(TEMPLATES)('the template of $name', ({ tokenizer: kind, added, end, rows, chatTemplate }) => {
  const json = JSON.parse(readFileSync(join(GOLDEN, 'tokenizers', `${kind}.json`), 'utf8'))
  const flags = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }
  const added_tokens = [...json.added_tokens, ...added.map((token) => ({ ...token, ...flags }))]
  const frame = frameOf(chatTemplate, 'a model')
  const tokenizer = openTokenizer({ ...json, added_tokens }, { file: kind, endsOfText: [end], vocabulary: 600 }).framed(
    frame,
  )

  test.each(rows)('puts $prompt as transformers does', async ({ prompt, rendered, ids, answered }) => {
    const shown = frame.trims ? prompt.trim() : prompt
    expect(frame.before + shown + frame.after).toBe(rendered)
    const encoding = await tokenizer.encode(prompt)
    expect([...encoding.ids]).toEqual(ids)
    const answer = [...(await tokenizer.encodeContinuation(' Paris'))]
    expect(answered.slice(0, ids.length + answer.length)).toEqual([...ids, ...answer])
    expect(tokenizer.endsOfText).toContain(answered[ids.length + answer.length])
    expect((await tokenizer.decodeContinuation(answer)).trim()).toBe('Paris')
  })
})

describe('a folder', () => {
  const folderWith = (files: Readonly<Record<string, unknown>>): string => {
    const folder = temporaryFolder()
    for (const [name, content] of Object.entries(files)) {
      put(folder, name, typeof content === 'string' ? content : JSON.stringify(content))
    }
    return folder
  }
  const config = (chat_template: unknown) => ({ chat_template, bos_token: '<s>', eos_token: { content: '</s>' } })
  const tokens = { bos_token: '<s>', eos_token: '</s>' }

  test.each<[string, Readonly<Record<string, unknown>>, ChatTemplate | null]>([
    ['with one in its configuration', { 'tokenizer_config.json': config('x') }, { source: 'x', tokens }],
    [
      'with several, of which one is for chats',
      {
        'tokenizer_config.json': config([
          { name: 'tools', template: 't' },
          { name: 'default', template: 'd' },
        ]),
      },
      { source: 'd', tokens },
    ],
    [
      'with a file of its own, which goes first',
      { 'tokenizer_config.json': config('x'), 'chat_template.jinja': 'y' },
      { source: 'y', tokens },
    ],
    [
      'with names of tokens in another file',
      {
        'tokenizer_config.json': { chat_template: 'x' },
        'special_tokens_map.json': { unk_token: '<unk>', more: ['z'] },
      },
      { source: 'x', tokens: { unk_token: '<unk>' } },
    ],
    ['with none', { 'tokenizer_config.json': { bos_token: '<s>' } }, null],
    ['with several, none of which is for chats', { 'tokenizer_config.json': config([{ name: 'rag' }]) }, null],
    ['without any such file', {}, null],
  ])('%s', async (_, files, expected) => {
    expect(await readFolderTemplate(folderWith(files), Object.keys(files))).toEqual(expected)
  })

  test('with a template beyond reason is refused', async () => {
    const folder = folderWith({ 'chat_template.jinja': ' '.repeat(2 ** 20 + 1) })
    await expect(readFolderTemplate(folder, ['chat_template.jinja'])).rejects.toMatchObject({ code: 'E_CHAT_TEMPLATE' })
  })
})

describe('a model asked through its template', () => {
  const modelWith = (template: string | undefined): string => {
    const folder = join(temporaryFolder(), 'tiny')
    cpSync(join(GOLDEN, 'tiny-llama'), folder, { recursive: true })
    if (template !== undefined) put(folder, 'chat_template.jinja', template)
    return folder
  }

  test('is another model, with the prompt inside the template and the answer after it', async () => {
    const folder = modelWith(CHATML)
    const ctx = testContext()
    const files = await findModel(folder, ctx, NOWHERE)
    const chat = inChat(files)
    expect([chat.name, chat.fingerprint === files.fingerprint]).toEqual(['tiny (chat)', false])
    const model = await loadModel(folder, NOWHERE, ctx, { chat: true, threads: 1 })
    try {
      expect(model.id).toBe(chat.fingerprint)
      const ids = [...(await model.tokenizer.encode('The train')).ids]
      const inner = async (text: string) => [...(await files.tokenizer.encodeContinuation(text))]
      expect(ids).toEqual([0, ...(await inner('user: The train\n')), 0, ...(await inner('assistant:'))])
      const [score] = await model.score([{ prompt: 'The train', target: 'Paris' }])
      expect(score?.ids).toEqual(await inner(' Paris'))
      expect(await model.generate(['The train'], { maxNewTokens: 3 })).toHaveLength(1)
    } finally {
      await model.close()
    }
  })

  test.each(['one that says otherwise', `${CHATML} `])('is another one by its template: %j', async (template) => {
    const ids = await Promise.all(
      [CHATML, template.includes('{') ? template : `${template}{{ messages[0].content }}`].map(async (source) => {
        return inChat(await findModel(modelWith(source), testContext(), NOWHERE)).fingerprint
      }),
    )
    expect(new Set(ids).size).toBe(2)
  })

  test('without a template is refused', async () => {
    const files = await findModel(modelWith(undefined), testContext(), NOWHERE)
    expect(() => inChat(files)).toThrow(
      expect.objectContaining({ code: 'E_CHAT_TEMPLATE', exit: 2, message: expect.stringContaining('--chat') }),
    )
  })

  test('keeps its template in the cache of conversions, also where it comes out of a GGUF file', async () => {
    const ctx = testContext({ cacheDir: temporaryFolder() })
    const first = await findModel(join(GOLDEN, 'tiny-llama.gguf'), ctx, NOWHERE)
    expect((await findModel(join(GOLDEN, 'tiny-llama.gguf'), ctx, NOWHERE)).chatTemplate).toEqual(first.chatTemplate)
    const folder = join(temporaryFolder(), 'untied')
    cpSync(join(GOLDEN, 'tiny-llama-untied'), folder, { recursive: true })
    put(folder, 'chat_template.jinja', CHATML)
    await findModel(folder, ctx, NOWHERE)
    expect((await findModel(folder, ctx, NOWHERE)).chatTemplate).toEqual(plain(CHATML))
  })
})

describe('a template', () => {
  test.each([
    ['that is broken', '{% for m in messages %}'],
    ['that refuses a user', "{{ raise_exception('no') }}"],
    ['that leaves the prompt out', 'Hello!'],
    ['that holds the prompt twice', '{{ messages[0].content }} {{ messages[0].content }}'],
    ['that counts without end', '{% for i in range(1000000000000) %}x{% endfor %}{{ messages[0].content }}'],
    ['that counts far', '{% for i in range(20000) %}x{% endfor %}{{ messages[0].content }}'],
    ['that counts to nothing', '{% for i in range(1, 5, 0) %}x{% endfor %}{{ messages[0].content }}'],
    ['that calls what is not there', '{{ system("rm") }}{{ messages[0].content }}'],
  ])('%s is refused', (_, source) => {
    expect(() => frameOf(plain(source), 'a model')).toThrow(expect.objectContaining({ code: 'E_CHAT_TEMPLATE' }))
  })

  test.each([
    ['{{ messages[0].content }}', { before: '', after: '', lead: '', closing: '', trims: false }],
    ['{{ messages[0].content | trim }}', { before: '', after: '', lead: '', closing: '', trims: true }],
    [
      'Q: {{ messages[0].content }}\nA:{% if messages[1] %} {{ messages[1].content }}.{% endif %}',
      { before: 'Q: ', after: '\nA:', lead: ' ', closing: '.', trims: false },
    ],
    [
      '{% for i in range(3) %}{{ i }}{% endfor %}{{ range(4, 2, -1) | join(",") }} {{ messages[0].content }}',
      { before: '0124,3 ', after: '', lead: '', closing: '', trims: false },
    ],
    ["{{ strftime_now('%Y-%m-%d %Q') }}{{ messages[0].content }}", { before: '2024-07-26 ', after: '' }],
  ])('%s is read as a frame', (source, frame) => {
    expect(frameOf(plain(source), 'a model')).toMatchObject(frame)
  })

  test('kept as something else is not used', () => {
    expect(parseTemplate(null)).toBeNull()
    expect(parseTemplate({ source: 'x', tokens: { bos_token: '<s>' } })).toEqual({
      source: 'x',
      tokens: { bos_token: '<s>' },
    })
    const others: (Json | undefined)[] = [undefined, 'x', {}, { source: 1, tokens: {} }, { source: 'x' }]
    for (const value of others) {
      expect(parseTemplate(value)).toBeUndefined()
    }
  })
})
