/** What every editor's memory estimate must keep, on the shapes of a real model: each editor's own test declares it. */
import { describe, expect, test } from 'vitest'
import type { Editor, Hparams } from '../../src/editors/editor.ts'
import { loadHparams } from '../../src/editors/hparams.ts'
import { estimateMemory, type MemoryEstimate } from '../../src/evidence/memory-estimate.ts'
import type { Footprint } from '../../src/models/footprint.ts'

export const MIB = 2 ** 20

/** SmolLM2 135M. */
export const SMOLLM2: Footprint = {
  config: {
    architecture: 'llama',
    layers: 30,
    encoderLayers: 0,
    width: 576,
    mlpWidth: 1536,
    heads: 9,
    kvHeads: 3,
    headWidth: 64,
    vocabulary: 49152,
    contextLength: 8192,
    tiedHead: true,
  },
  parameters: 134_515_008,
  weightsBytes: 538_060_032,
  widenedBytes: 0,
}

/** Estimates with the published settings of a model, or others. */
export async function estimateFor(editor: Editor, model = SMOLLM2, others: Hparams = {}): Promise<MemoryEstimate> {
  return estimateMemory(editor, model, { ...(await loadHparams(editor, model.config)), ...others })
}

/**
 * Declares the suite for one editor.
 * @param measured the peak that `probe --facts countries` recorded on SmolLM2 135M (Linux, anonymous memory), MiB
 * @param others settings that were not the published ones there
 */
export function describeMemory(editor: Editor, measured: number, others: Hparams = {}): void {
  const estimate = (model?: Footprint) => estimateFor(editor, model, others)

  describe('its memory estimate', () => {
    test('is not less than was measured, and not much more', async () => {
      const { peakBytes } = await estimate()
      const ratio = peakBytes / MIB / measured
      expect(ratio).toBeGreaterThanOrEqual(1)
      expect(ratio).toBeLessThanOrEqual(1.6)
    })

    test('rises from preparing to asking, and with the model', async () => {
      const found = await estimate()
      expect(found.prepareBytes).toBeGreaterThan(65 * MIB)
      expect(found.queryBytes).toBeGreaterThanOrEqual(found.editBytes)
      expect(found.peakBytes).toBe(Math.max(found.prepareBytes, found.editBytes, found.queryBytes))
      const config = { ...SMOLLM2.config, width: 1152, mlpWidth: 3072 }
      expect((await estimate({ ...SMOLLM2, config })).peakBytes).toBeGreaterThan(found.peakBytes)
      // 16-bit weights are widened in every session that uses them.
      const narrow = await estimate({ ...SMOLLM2, widenedBytes: 100 * MIB })
      expect(narrow.queryBytes - found.queryBytes).toBeGreaterThanOrEqual(200 * MIB)
    })
  })
}
