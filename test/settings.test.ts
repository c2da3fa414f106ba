import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { editSettings, parseSettings, readSettings } from '../src/settings.ts'

const schema = z.strictObject({
  title: z.string().min(2),
  edits: z.number().int().min(1),
  arrival: z.enum(['single', 'batch']).default('single'),
  weights: z.partialRecord(z.enum(['reliability', 'locality']), z.number().positive()).optional(),
  layers: z.array(z.number()).max(2).optional(),
  either: z.union([z.number(), z.boolean()]).optional(),
})

const GOOD = 'title: ok\nedits: 3\n'

describe('parseSettings', () => {
  test('gives the values with the defaults of the schema', async () => {
    expect(await parseSettings('title: ok # why\nedits: 3\nweights: {locality: 2}', schema, 's.yaml')).toEqual({
      title: 'ok',
      edits: 3,
      arrival: 'single',
      weights: { locality: 2 },
    })
  })

  const wrong: [string, string, string[]][] = [
    ['a wrong type', 'title: ok\nedits: many\n', ['s.yaml:2:8: expected a number, found "many"']],
    ['a fraction', 'title: ok\nedits: 1.5\n', ['s.yaml:2:8: expected a whole number, found 1.5']],
    ['a value too small', 'title: ok\nedits: 0\n', ['s.yaml:2:8: expected at least 1, found 0']],
    ['a text too short', 'title: o\nedits: 1\n', ['s.yaml:1:8: expected at least 2 characters, found "o"']],
    ['a list too long', `${GOOD}layers: [1, 2, 3]`, ['s.yaml:3:9: expected at most 2 items, found a list']],
    ['an item of the wrong type', `${GOOD}layers: [1, x]`, ['s.yaml:3:13: expected a number, found "x"']],
    ['not a number', `${GOOD}weights: {locality: .nan}`, ['s.yaml:3:21: expected a number, found NaN']],
    ['an infinite number', `${GOOD}weights: {locality: .inf}`, ['s.yaml:3:21: expected a number, found Infinity']],
    ['an overflowing number', `${GOOD}weights: {locality: 1e400}`, ['s.yaml:3:21: expected a number, found Infinity']],
    ['zero', `${GOOD}weights: {locality: 0}`, ['s.yaml:3:21: expected more than 0, found 0']],
    ['a union', `${GOOD}either: x`, ['s.yaml:3:9: expected a number or true or false, found "x"']],
    ['nothing', 'title: ok\nedits:\n', ['s.yaml:2:7: expected a number, found nothing']],
    [
      'an unknown key',
      'title: ok\nedits: 3\narival: single\n',
      [
        's.yaml:3:1: expected one of title, edits, arrival, weights, layers, either, found "arival"; did you mean arrival?',
      ],
    ],
    [
      'an unknown key inside',
      `${GOOD}weights:\n  reliabilty: 3\n`,
      ['s.yaml:4:3: expected one of reliability, locality, found "reliabilty"; did you mean reliability?'],
    ],
    [
      'an unknown word',
      `${GOOD}arrival: singel\n`,
      ['s.yaml:3:10: expected one of single, batch, found "singel"; did you mean single?'],
    ],
    ['a missing key', 'title: ok\n', ['s.yaml:1:1: expected the key edits (a number), found nothing']],
    ['an empty file', '', ['s.yaml:1:1: expected a mapping of keys to values, found nothing']],
    ['only a comment', '# hello\n', ['s.yaml:1:1: expected a mapping of keys to values, found nothing']],
    ['a list for a mapping', '- 1\n', ['s.yaml:1:1: expected a mapping of keys to values, found a list']],
    [
      'two mistakes, in the order of the file',
      'edits: x\ntitle: 1\n',
      ['s.yaml:1:8: expected a number, found "x"', 's.yaml:2:8: expected text, found 1'],
    ],
    [
      'a duplicate key',
      'title: ok\ntitle: ok\n',
      ['s.yaml:2:1: expected YAML, found Map keys must be unique (DUPLICATE_KEY)'],
    ],
    [
      'a tab',
      'weights:\n\tlocality: 1\n',
      ['s.yaml:2:1: expected YAML, found Tabs are not allowed as indentation (TAB_AS_INDENT)'],
    ],
    ['an alias', 'title: &t ok\nedits: *t\n', ['s.yaml:2:8: expected the value itself, found an alias of it, *t']],
    ['a key that is a list', `${GOOD}[1, 2]: 3`, ['s.yaml:3:1: expected a plain word as a key, found a list']],
    ['binary data', `${GOOD}layers: !!binary aGk=`, ['s.yaml:3:18: expected text or a number, found binary data']],
    [
      'a prototype key',
      `${GOOD}__proto__: {edits: 1}`,
      ['s.yaml:3:1: expected one of title, edits, arrival, weights, layers, either, found "__proto__"'],
    ],
    [
      'control characters',
      'title: ok\nedits: "\\u001b[31m\\u202e"\n',
      ['s.yaml:2:8: expected a number, found "\\u001b[31m\\u202e"'],
    ],
  ]
  test.each(wrong)('refuses %s with its place', async (_, text, problems) => {
    await expect(parseSettings(text, schema, 's.yaml')).rejects.toMatchObject({
      code: 'E_SETTINGS',
      exit: 2,
      message: problems.join('\n'),
    })
  })

  const laughs = `a: &a [x, x, x]\n${[...'bcdefghij'].map((c, i) => `${c}: &${c} [${`*${'abcdefghi'[i]}, `.repeat(9)}x]`).join('\n')}\n`
  test.each([
    ['an unknown tag', 'title: !!js/function "x"\nedits: 1'],
    ['two documents', `${GOOD}---\n${GOOD}`],
    ['a quote left open', 'title: "x'],
    ['aliases that multiply', laughs],
    ['brackets nested 20 000 deep', '['.repeat(20_000)],
    ['lists nested 20 000 deep', '- '.repeat(20_000)],
    ['thousands of anchors', '&a '.repeat(20_000)],
    ['a tag without end', '!a'.repeat(30_000)],
    ['too large a text', `${GOOD}# ${'x'.repeat(300_000)}`],
  ])('refuses %s in a short message', async (_, text) => {
    const error = await parseSettings(text, schema, 's.yaml').catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'E_SETTINGS' })
    expect(String(error).length).toBeLessThan(1500)
  })

  test('counts problems beyond the first eight', async () => {
    const text = `${GOOD}${Array.from({ length: 12 }, (_, i) => `key${i}: 1`).join('\n')}`
    await expect(parseSettings(text, schema, 's.yaml')).rejects.toThrow(/\n… and 4 more$/)
  })
})

describe('readSettings', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'whichedit-settings-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  test('reads a file and names it in messages', async () => {
    const file = join(folder, 'a.yaml')
    await writeFile(file, GOOD)
    expect(await readSettings(file, schema)).toMatchObject({ edits: 3 })
    await writeFile(file, 'title: ok\nedits: x\n')
    await expect(readSettings(file, schema)).rejects.toThrow(`${file}:2:8: expected a number, found "x"`)
  })

  test('reads a file that begins with a byte order mark', async () => {
    const file = join(folder, 'bom.yaml')
    await writeFile(file, `\ufeff${GOOD}`)
    expect(await readSettings(file, schema)).toMatchObject({ edits: 3 })
  })

  test('ends with 66 where the file is missing', async () => {
    await expect(readSettings(join(folder, 'none.yaml'), schema)).rejects.toMatchObject({
      code: 'E_SETTINGS_MISSING',
      exit: 66,
    })
  })

  test.each([
    ['a folder', () => folder],
    [
      'bytes that are not UTF-8',
      async () => {
        await writeFile(join(folder, 'bytes.yaml'), Buffer.from([0xff, 0xfe, 0x61]))
        return join(folder, 'bytes.yaml')
      },
    ],
  ])('refuses %s', async (_, make) => {
    await expect(readSettings(await make(), schema)).rejects.toMatchObject({ code: 'E_SETTINGS_UNREADABLE', exit: 66 })
  })

  test('refuses a file too large to be settings', async () => {
    const file = join(folder, 'large.yaml')
    await writeFile(file, 'x'.repeat(400_000))
    await expect(readSettings(file, schema)).rejects.toThrow('expected at most 262144 characters')
  })
})

describe('editSettings', () => {
  test('changes values and keeps comments, order and the rest', () => {
    const text = '# mine\ntitle: ok # short\nweights: {locality: 1} # points\nedits: null # later\n'
    const changes = [
      { path: ['edits'], value: 5 },
      { path: ['weights', 'reliability'], value: 2 },
    ]
    expect(editSettings(text, changes, 's.yaml')).toBe(
      '# mine\ntitle: ok # short\nweights: { locality: 1, reliability: 2 } # points\nedits: 5 # later\n',
    )
  })

  test('refuses a text that is not YAML', () => {
    expect(() => editSettings('a: 1\na: 2', [], 's.yaml')).toThrow('s.yaml:2:1: expected YAML')
  })
})
