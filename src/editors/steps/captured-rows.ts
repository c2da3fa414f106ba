/**
 * Prompts that are asked many times of one model while it is changed in its upper layers alone: what the layers below make of them
 * is computed once and kept, as long as there is room.
 */

import type { Footprint } from '../../models/footprint.ts'
import type { Capture, LanguageModel, RunRequest } from '../../models/model.ts'
import type { TargetTokens } from './target-tokens.ts'

/** What may be kept. */
const MOST_BYTES = 384 * 2 ** 20

/** Rows as they are asked. */
export type AskedRows = Pick<RunRequest, 'tokens' | 'resume'>

/** Asks for prompts led along their targets, together. */
export type AskRows = (rows: readonly TargetTokens[]) => Promise<AskedRows>

/** Rows asked from the start. */
export function askWhole(rows: readonly TargetTokens[]): AskedRows {
  return { tokens: { rows: rows.map(({ row }) => row), promptLengths: rows.map(({ prompt }) => prompt.length) } }
}

/** Rows that go on below the first layer that is changed, from what was kept of them. */
export function openCapturedRows(model: LanguageModel, firstLayer: number): AskRows {
  const kept = new Map<string, Capture>()
  let left = MOST_BYTES
  return async (rows) => {
    const asked = askWhole(rows)
    if (firstLayer === 0) return asked
    const key = JSON.stringify([asked.tokens.promptLengths, ...rows.map(({ row }) => row.join())])
    const known = kept.get(key)
    if (known !== undefined) return { ...asked, resume: known }
    const { capture } = await model.run({ ...asked, capture: { layer: firstLayer - 1 } })
    if (capture === undefined) return asked
    left -= captureBytes(model, rows)
    if (left > 0) kept.set(key, capture)
    return { ...asked, resume: capture }
  }
}

/** What may be kept at most. */
export function capturedRowsBytes(model: Footprint, rows: number, tokens: number): number {
  return Math.min(MOST_BYTES, rows * tokens * tokenBytes(model))
}

function captureBytes(model: LanguageModel, rows: readonly TargetTokens[]): number {
  return rows.length * Math.max(...rows.map(({ row }) => row.length)) * tokenBytes(model)
}

/** The residual stream, the feed-forward's input and that of its down-projection. */
function tokenBytes({ config: { width, mlpWidth } }: Pick<Footprint, 'config'>): number {
  return (2 * width + mlpWidth) * Float32Array.BYTES_PER_ELEMENT
}
