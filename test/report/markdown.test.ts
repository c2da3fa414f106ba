import { expect, test } from 'vitest'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { makeMethod, makeRanking } from '../support/sketch-ranking.ts'

test('a ranking in Markdown', () => {
  expect(renderMarkdown(makeRanking())).toMatchInlineSnapshot(`
    "# A few precise edits

    ROME leads GRACE by 4.2 (+6.1 generalization, −1.9 locality). 83 % likely best on this evidence, not to be told apart from GRACE. 7 points of weight moved from generalization to locality would draw them level. Ruled out: SERAC (needs 9 GiB, limit 6 GiB).

    | rank | method | score | best | reliability | generalization | locality | portability | efficiency | edit | peak memory |
    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
    |  |  |  |  | 40 % | 20 % | 30 % | 0 % | 10 % |  |  |
    | 1= | ROME | 72 (68–76) | 83 % | 80 (70–89) | 80 (70–89) | 80 (70–89) | n/a | 80 (70–89) | 2 s | 2 GiB |
    | 2= | GRACE | 68 (68–76) | 17 % | 80 (70–89) | 80 (70–89) | 80 (70–89) | n/a | 80 (70–89) | 2 s | 2 GiB |
    | out | SERAC | 60 (68–76) |  | 80 (70–89) | 80 (70–89) | 80 (70–89) | n/a | 80 (70–89) | 2 s | 2 GiB |

    - Only 3 cases: take this as a hint, not as a result.

    model tiny · profile A few precise edits · 5 edits, single, 100 queries  
    run 0123456789abcdef · 16 cases of facts.json  
    scored by what the model says freely (forced: teacher-forced, optimistic) · intervals hold 90 % of 10000 draws, seed 0
    "
  `)
})

test('text from files cannot become markup', () => {
  const title = '|<script>alert(1)</script> [x](http://x) `y` *z* #'
  const text = renderMarkdown(makeRanking({ ranking: [makeMethod({ title })], lead: null, notes: [title] }))
  expect(text).toContain('| \\|\\<script\\>alert(1)\\</script\\> \\[x\\](http://x) \\`y\\` \\*z\\* \\# |')
  expect(text).not.toMatch(/(^|[^\\])<script/)
})
