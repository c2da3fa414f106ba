/** Teacher forcing: what the model gives the tokens of a target, each after the true ones before it. */
import type { Edits } from './edits.ts'
import type { RunRequest, TargetScore } from './model.ts'
import { type Engine, runRequest } from './run.ts'
import type { Prefix } from './window.ts'

/** A prompt and the target after it, as token ids. */
export interface ScoreRow {
  readonly prompt: Int32Array
  readonly target: Int32Array
}

/** Leads the model along each row's target in one run. */
export async function scoreRows(
  engine: Engine,
  edits: Edits,
  rows: readonly ScoreRow[],
  prefix: Prefix | null,
): Promise<TargetScore[]> {
  const at = rows.flatMap(({ prompt, target }, row) =>
    Array.from(target, (_, j) => ({ row, token: prompt.length - 1 + j })),
  )
  const request: RunRequest = {
    tokens: {
      rows: rows.map(({ prompt, target }) => Int32Array.from([...prompt, ...target])),
      promptLengths: rows.map(({ prompt }) => prompt.length),
    },
    read: [
      { site: 'logits', at, as: 'log-probs', targets: rows.flatMap(({ target }) => [...target]) },
      { site: 'logits', at, as: 'argmax' },
    ],
  }
  const {
    reads: [logProbs, argmax],
  } = await runRequest(engine, edits, request, prefix)
  let next = 0
  return rows.map(({ target }) => {
    const from = next
    next += target.length
    return {
      ids: [...target],
      logProbs: [...(logProbs?.data.subarray(from, next) ?? [])],
      argmax: [...(argmax?.data.subarray(from, next) ?? [])],
    }
  })
}
