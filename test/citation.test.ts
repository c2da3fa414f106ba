import { expect, test } from 'vitest'
import { formatCitation } from '../src/citation.ts'

test('a citation is one line', () => {
  const citation = {
    authors: 'Meng et al.',
    year: 2022,
    title: 'Locating and Editing Factual Associations in GPT',
    url: 'https://arxiv.org/abs/2202.05262',
    code: 'https://github.com/kmeng01/rome',
  }
  expect(formatCitation(citation)).toBe(
    'Meng et al. 2022, Locating and Editing Factual Associations in GPT, https://arxiv.org/abs/2202.05262',
  )
})
