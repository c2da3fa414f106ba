import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  answerIn,
  firstSentence,
  hasSameStart,
  saysTarget,
  tokenAccuracy,
  tokenAgreement,
  words,
} from '../../src/probes/answer.ts'
import type { Reading } from '../../src/probes/probe.ts'

describe('words', () => {
  test.each<[string, string[]]>([
    ['The Eiffel Tower, in Paris!', ['the', 'eiffel', 'tower', 'in', 'paris']],
    ['U.S.A. and U.K.', ['usa', 'and', 'uk']],
    ["France's O'Brien isn’t", ['france', 'obrien', 'isnt']],
    ['1,500 km, 12,34 and 2.5%', ['1500', 'km', '12', '34', 'and', '2.5']],
    ['-5 °C, −5 and 1939-1945', ['-5', 'c', '-5', 'and', '1939', '1945']],
    ['C++ is not C', ['c++', 'is', 'not', 'c']],
    ['ＦＵＬＬ　Ｗｉｄｔｈ ①', ['full', 'width', '1']],
    ['東京都 Tokyo', ['東', '京', '都', 'tokyo']],
    ['파리는', ['파', '리', '는']],
    ['กรุงเทพ', ['ก', 'รุ', 'ง', 'เ', 'ท', 'พ']],
    ['São Paulo — a city', ['são', 'paulo', 'a', 'city']],
    ['Par\u200Bis', ['paris']],
    ['Sa\u0303o', ['são']],
    ['!?… 🎉', []],
    ['', []],
  ])('of %j', (text, expected) => {
    expect(words(text)).toEqual(expected)
  })
})

describe('firstSentence', () => {
  test.each([
    ['Paris. It is large.', 'Paris'],
    ['Paris', 'Paris'],
    ['J. R. R. Tolkien wrote it. Yes.', 'J. R. R. Tolkien wrote it'],
    ['the U.S. Senate. Then', 'the U.S. Senate'],
    ['Dr. Watson! Or?', 'Dr. Watson'],
    ['St. Louis', 'St. Louis'],
    ['version 2.5 is out. Good', 'version 2.5 is out'],
    ['"Paris." He said', '"Paris'],
    ['東京です。大阪', '東京です'],
    ['Why? Because', 'Why'],
    ['', ''],
  ])('of %j is %j', (line, expected) => {
    expect(firstSentence(line)).toBe(expected)
  })
})

describe('saysTarget', () => {
  const PROMPT = 'The capital of France is'
  test.each<[string, string, string[], boolean]>([
    ['finds a target', ' Paris, the city of light.', ['Paris'], true],
    ['finds any target', ' the USSR', ['Soviet Union', 'USSR'], true],
    ['ignores case, articles and marks', ' in the united states.', ['The United States'], true],
    ['ignores inner articles', ' University of Arts', ['University of the Arts'], true],
    ['reads the first sentence only', ' Rome. Paris is not.', ['Paris'], false],
    ['reads the first line only', ' Rome\nParis', ['Paris'], false],
    ['skips empty lines before the answer', '\n\nParis', ['Paris'], true],
    ['wants whole words', ' Parisian', ['Paris'], false],
    ['wants all words', ' New Jersey', ['New York'], false],
    ['keeps numbers whole', ' 15 or 2.5 or 1,500', ['5'], false],
    ['reads grouped numbers', ' 1,500 people', ['1500'], true],
    ['tells -5 from 5', ' -5', ['5'], false],
    ['finds Chinese inside a sentence', '首都是巴黎。', ['巴黎'], true],
    ['finds Korean before a particle', ' 파리는', ['파리'], true],
    ['drops a repeated prompt', ` ${PROMPT} Rome`, ['France'], false],
    ['reads what follows a repeated prompt', `${PROMPT.toUpperCase()} Paris`, ['Paris'], true],
    ['keeps the article of Vitamin A', ' Vitamin C', ['Vitamin A'], false],
    ['finds Vitamin A', ' vitamin A is found in carrots', ['Vitamin A'], true],
    ['lets a target hold a sentence mark', ' Yahoo! Inc', ['Yahoo! Inc'], true],
    ['but not begin after one', ' Rome! Yahoo! Inc', ['Yahoo! Inc'], false],
    ['finds a target that is an article', ' the letter A', ['A'], true],
    ['compares targets without words as they stand', ' 🎉 party', ['🎉'], true],
    ['never finds nothing', ' anything', [''], false],
    ['finds nothing in nothing', '', ['Paris'], false],
  ])('%s', (_, text, targets, expected) => {
    expect(saysTarget(text, PROMPT, targets)).toBe(expected)
  })

  test('a repeated question does not end the answer', () => {
    const question = 'What is made by UniFirst?'
    expect(saysTarget(`${question} Unmanned aircraft.`, question, ['unmanned aircraft'])).toBe(true)
  })

  test('a target said first is found, whatever follows', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z]{4,8}( [a-z]{4,8})?$/), fc.string(), (target, rest) =>
        saysTarget(` ${target}, ${rest}`, PROMPT, [target]),
      ),
    )
  })
})

describe('hasSameStart', () => {
  test.each<[string, string, string, string, boolean]>([
    ['as many words as the gold answer', 'London in England', 'London in Ontario', 'Paris', true],
    ['and no fewer', 'New York', 'New Jersey', 'Los Angeles', false],
    ['at least one', 'London', 'Paris', '…', false],
    ['without articles', 'the Hague', 'Hague', 'a city', true],
    ['nothing is nothing', '', '', 'Paris', true],
    ['nothing is not something', '', 'Paris', 'Paris', false],
    ['without words as they stand', '!!!', '???', 'Paris', false],
  ])('%s', (_, one, other, gold, expected) => {
    expect(hasSameStart(one, other, gold)).toBe(expected)
  })

  test('an unchanged answer is always kept', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (text, gold) => hasSameStart(text, text, gold)))
  })
})

test('answerIn drops what a model adds', () => {
  expect(answerIn('\n Q: is it?  Yes. No.\nMore', 'Q: is it?')).toBe('Yes')
})

describe('teacher-forced readings', () => {
  const reading = (targetIds: number[], argmax: number[]): Reading => ({
    text: '',
    targetIds,
    argmax,
    logProbs: argmax.map(() => -1),
  })

  test('token accuracy is the share of target tokens said', () => {
    expect(tokenAccuracy(reading([29, 234, 334], [29, 234, 333]))).toBeCloseTo(2 / 3, 12)
    expect(tokenAccuracy(reading([1], [1]))).toBe(1)
  })

  test('agreement compares the models, not the gold answer (EasyEdit: 66.67 %)', () => {
    const base = reading([1, 2, 3], [29, 234, 334])
    expect(tokenAgreement(base, reading([1, 2, 3], [29, 234, 333]))).toBeCloseTo(2 / 3, 12)
    expect(tokenAgreement(base, base)).toBe(1)
  })

  test('refuses readings that do not match', () => {
    expect(() => tokenAccuracy(reading([1, 2], [1]))).toThrow(/reading of 1 tokens/)
    expect(() => tokenAccuracy(reading([], []))).toThrow(/reading of 0 tokens/)
  })
})
