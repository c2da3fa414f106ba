import { expect, test } from 'vitest'
import type { Editor } from '../../src/editors/editor.ts'
import { none } from '../../src/editors/none.ts'
import { rome } from '../../src/editors/rome.ts'
import { estimateMemory } from '../../src/evidence/memory-estimate.ts'
import { estimateFor, MIB, SMOLLM2 } from '../support/memory-suite.ts'

test('is not less than was measured of a model eight times as large, in 16 bits', async () => {
  const { config } = SMOLLM2
  const shape = { layers: 22, width: 2048, mlpWidth: 5632, heads: 32, kvHeads: 4, vocabulary: 32000, tiedHead: false }
  const widenedBytes = 32000 * 2048 * 4
  const { peakBytes } = await estimateFor(rome, { ...SMOLLM2, config: { ...config, ...shape }, widenedBytes })
  // docs/large-model.md
  expect(peakBytes / MIB / 4680).toBeGreaterThanOrEqual(1)
  expect(peakBytes / MIB / 4680).toBeLessThanOrEqual(1.5)
})

test('judges a method that says nothing by its needs', () => {
  const silent = (...needs: Editor['needs']) =>
    estimateMemory({ ...none, memory: undefined, needs } as Editor, SMOLLM2, {})
  const [plain, gradient, covariance] = [silent('hidden'), silent('gradient'), silent('gradient', 'covariance')]
  expect(gradient.editBytes).toBeGreaterThan(plain.editBytes)
  expect(covariance.prepareBytes - gradient.prepareBytes).toBeGreaterThan(3 * 1536 ** 2 * 8)
  expect(covariance.editBytes).toBeGreaterThan(gradient.editBytes)
})
