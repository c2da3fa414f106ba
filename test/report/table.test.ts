import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import { renderTable } from '../../src/report/table.ts'
import { makeMethod, makeRanking } from '../support/sketch-ranking.ts'

const PLAIN = { color: false, columns: 80, unicode: true }

describe('renderTable', () => {
  test('at 80 columns', () => {
    expect(renderTable(makeRanking(), PLAIN)).toMatchInlineSnapshot(`
      "ROME leads GRACE by 4.2 (+6.1 generalization, −1.9 locality).
      83 % likely best on this evidence, not to be told apart from GRACE.
      7 points of weight moved from generalization to locality would draw them level.
      Ruled out: SERAC (needs 9 GiB, limit 6 GiB).

           method   score  forced  best  relia.  gener.  local.  porta.  effic.
                                           40 %    20 %    30 %     0 %    10 %
      1=   ROME     72 ±4      90  83 %      80      80      80     n/a      80
      2=   GRACE    68 ±8      90  17 %      80      80      80     n/a      80
      out  SERAC   60 ±16      90            80      80      80     n/a      80

      ! Only 3 cases: take this as a hint, not as a result.

      model tiny · profile A few precise edits · 5 edits, single, 100 queries
      run 0123456789abcdef · 16 cases of facts.json
      scored by what the model says freely (forced: teacher-forced, optimistic) ·
      intervals hold 90 % of 10000 draws, seed 0
      "
    `)
  })

  test('at 100 columns scores have bars', () => {
    expect(renderTable(makeRanking(), { ...PLAIN, columns: 100 })).toContain('72 ±4  ███████░░░')
  })

  test('at 140 columns criteria have whole names and intervals', () => {
    const text = renderTable(makeRanking(), { ...PLAIN, columns: 140 })
    expect(text).toContain('generalization')
    expect(text).toContain('80 (70–89)')
  })

  test('where no table fits each method is a stack of lines', () => {
    const text = renderTable(makeRanking(), { ...PLAIN, columns: 40 })
    expect(text).toContain('1=  ROME 72 ±4, best 83 %\n    reliability 80, generalization 80,\n')
    expect(text).toContain('out SERAC 60 ±16\n')
  })

  test.each([20, 30, 40, 59, 60, 71, 72, 80, 88, 100, 140, 200])('fits into %d columns', (columns) => {
    const long = makeMethod({ title: `${'界'.repeat(40)}`, rank: 3 })
    const base = makeRanking()
    const ranking = { ...base, ranking: [...base.ranking, long], notes: ['x'.repeat(300)] }
    for (const line of renderTable(ranking, { ...PLAIN, columns }).split('\n')) {
      expect(stringWidth(line), line).toBeLessThanOrEqual(columns)
    }
  })

  test('says the same without colour', () => {
    const colored = renderTable(makeRanking(), { ...PLAIN, color: true })
    expect(colored).toContain('\u001b[1m')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: taking the colours away
    expect(colored.replace(/\u001b\[\d+m/g, '').replace(/ +$/gm, '')).toBe(renderTable(makeRanking(), PLAIN))
  })

  test('prints only ASCII where there is nothing else', () => {
    const ranking = makeRanking({ notes: ['naïve – 界'] })
    const text = renderTable(ranking, { ...PLAIN, columns: 100, unicode: false })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them
    expect(text).toMatch(/^[\u0000-\u007f]*$/)
    expect(text).toContain('72 +-4  #######...')
    expect(text).toContain('! na?ve - ?')
  })

  test('neutralises text from files', () => {
    const hostile = '\u001b]0;owned\u0007\u202e\n'
    const base = makeRanking()
    const text = renderTable(
      {
        ...base,
        profile: { ...base.profile, title: hostile },
        model: { name: hostile, id: hostile },
        runs: base.runs.map((run) => ({ ...run, id: hostile, data: hostile })),
        ranking: [makeMethod({ title: hostile, method: hostile }), makeMethod({ rank: null, ruledOut: [hostile] })],
        notes: [hostile],
        lead: base.lead === null ? null : { ...base.lead, first: hostile, second: hostile },
      },
      PLAIN,
    )
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for control characters
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
  })

  test('the reading is named', () => {
    expect(renderTable(makeRanking({ reading: 'teacher-forced' }), PLAIN)).toContain(
      'scored by teacher-forced accuracy, optimistic',
    )
  })
})
