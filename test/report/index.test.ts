import { expect, test } from 'vitest'
import { REPORTS } from '../../src/report/index.ts'
import { renderJson } from '../../src/report/json.ts'
import { makeRanking } from '../support/sketch-ranking.ts'

const OPTIONS = { color: false, columns: 80, unicode: true }

test.each(Object.entries(REPORTS))('%s ends in one line end', (_, render) => {
  expect(render(makeRanking(), OPTIONS)).toMatch(/[^\n]\n$/)
})

test('JSON gives everything back', () => {
  expect(JSON.parse(renderJson(makeRanking()))).toEqual(makeRanking())
})
