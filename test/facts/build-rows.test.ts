import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRows } from '../../src/facts/build-rows.ts'

const rows = (text: string) => parseRows(text, 'f').map(({ where, ...row }) => ({ line: where.line, ...row }))

const EXPECTED = [
  {
    line: 2,
    subject: 'Acme',
    relation: 'headquarters',
    answers: ['Berlin'],
    target: 'Osaka',
    aliases: ['Acme, Inc.', 'ACME'],
  },
  { line: 3, subject: 'Zenith', prompt: 'The boss of {} is', answers: ['Ann', 'Anna'], aliases: [] },
]

test.each([
  [
    'commas',
    'subject,relation,prompt,targetNew,targetOld,aliases\nAcme,headquarters,,Osaka,Berlin,"Acme, Inc. | ACME"\nZenith,,The boss of {} is,,Ann|Anna,\n',
  ],
  [
    'semicolons, a byte-order mark and Windows line ends',
    '\ufeffsubject;relation;prompt;targetNew;targetOld;aliases\r\nAcme;headquarters;;Osaka;Berlin;Acme, Inc. | ACME\r\nZenith;;The boss of Zenith is;;Ann|Anna;\r\n',
  ],
  [
    'tabs and blanks around values',
    'subject\trelation\tprompt\ttargetNew\ttargetOld\taliases\n Acme \theadquarters\t\tOsaka\tBerlin\tAcme, Inc.|ACME\nZenith\t\tThe boss of {} is\t\tAnn | Anna\t',
  ],
  [
    'JSON Lines',
    '\n{"subject":"Acme","relation":"headquarters","targetNew":"Osaka","targetOld":"Berlin","aliases":["Acme, Inc.","ACME"]}\n{"subject":"Zenith","prompt":"The boss of {} is","targetOld":["Ann","Anna"],"targetNew":null}',
  ],
])('reads %s', (_, text) => {
  expect(rows(text)).toEqual(EXPECTED)
})

test('names the line on which a row stands, whatever rows before it span', () => {
  const text = 'subject,relation,targetNew\n"A\nB",boss,x\n\nC,boss,y\n'
  expect(rows(text).map(({ line, subject }) => [line, subject])).toEqual([
    [3, 'A\nB'],
    [5, 'C'],
  ])
})

test.each([
  [
    'subject,relation\nAcme,boss',
    'record 1 (line 2): expected targetNew, or targetOld for a fact that stays, found neither',
  ],
  ['subject,targetNew\nAcme,Bob', 'record 1 (line 2): expected a relation or a prompt, found neither'],
  ['relation,targetNew\nboss,Bob', 'expected "subject" to be a text, found nothing'],
  ['subject,relation,new\nAcme,boss,Bob', 'only fields of its format, found the field "new"'],
  [
    'subject,relation,targetNew\nAcme,boss',
    'f, record 1 (line 2): expected a table with the columns id, subject, relation',
  ],
  ['subject,relation,targetNew\nAcme,"boss,x', 'expected a table with the columns'],
  ['[3]', 'expected an object with id, subject, relation, prompt, targetNew, targetOld, aliases, found 3'],
  ['{"subject":"a","relation":"b","targetNew":1}', '"targetNew" to be a text, found 1'],
])('refuses %j', (text, message) => {
  expect(() => parseRows(text, 'f')).toThrow(expect.objectContaining({ code: 'E_FACT' }))
  expect(() => parseRows(text, 'f')).toThrow(message)
})

test('never ends in anything but rows or an error with a code', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'subject,relation\n";\t{}[]: \u0000é') }), (text) => {
      try {
        parseRows(`subject,relation,targetNew\n${text}`, 'f')
        parseRows(text, 'f')
      } catch (error) {
        expect(error).toMatchObject({ name: 'WhicheditError', code: 'E_FACT' })
      }
    }),
  )
})
