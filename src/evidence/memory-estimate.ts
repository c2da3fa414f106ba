/**
 * How much memory a method takes on a model, from shapes and settings alone: before anything is loaded. A method says what it needs
 * in `Editor.memory`; one that does not is given the most that its `needs` can stand for. To that come the program, and the questions
 * that a probe asks of the edited model.
 *
 * How well it fits (own memory at the peak, estimated / measured): SmolLM2 135M in float32, `probe --facts countries`: none 1.5,
 * FT-L 1.4, FT-M 1.5, ROME 1.4, MEMIT 1.3, GRACE 1.4, IKE 1.4; weights of TinyLlama's shape in 16 bits (docs/large-model.md): ROME 1.1; a model of
 * 0.1 million: 1.1 to 1.3. What is beyond a shape stays a guess: many or long prompts, a tokenizer of unusual size.
 */

import type { Editor, Hparams, MethodMemory } from '../editors/editor.ts'
import { covarianceMemory } from '../editors/steps/covariance.ts'
import {
  cacheBytes,
  type Footprint,
  forwardBytes,
  gradientBytes,
  programBytes,
  sessionBytes,
} from '../models/footprint.ts'

/** Peaks of a process that runs a method on a model, in bytes, the mapped weights apart. */
export interface MemoryEstimate {
  readonly prepareBytes: number
  readonly editBytes: number
  /** While the edited model is asked what a probe asks. */
  readonly queryBytes: number
  /** The largest of the three. */
  readonly peakBytes: number
}

/** Questions about a case: prompts at once, tokens of each, tokens of their targets. */
const ASKED = { rows: 24, tokens: 24, targets: 3 }
/** One session scores, one generates; both again where a patch makes them other graphs. */
const ASKING_SESSIONS = 2
/** What an edit works on where nobody says more: twenty prompts of twenty tokens. */
const EDIT_TOKENS = 400
const EDIT_SESSIONS = 4

/** Estimates a method's memory on a model. */
export function estimateMemory(editor: Editor, model: Footprint, hparams: Hparams): MemoryEstimate {
  const own = editor.memory?.(model, hparams) ?? memoryOfNeeds(editor, model)
  const program = programBytes(model)
  const asking = askingBytes(model)
  const prepareBytes = program + own.prepareBytes
  // The unedited model is asked before: what that took stays with its sessions.
  const editBytes = program + asking + own.heldBytes + own.editBytes
  const queryBytes = editBytes + own.queryBytes
  return { prepareBytes, editBytes, queryBytes, peakBytes: Math.max(prepareBytes, editBytes, queryBytes) }
}

function askingBytes(model: Footprint): number {
  const tokens = ASKED.rows * ASKED.tokens
  const work = { tokens, attended: ASKED.tokens, logits: ASKED.rows * ASKED.targets }
  const cache = 2 * cacheBytes(model.config, tokens, model.config.layers)
  return sessionBytes(model, ASKING_SESSIONS) + forwardBytes(model, work) + cache
}

/** A gradient through all layers, statistics of the widest activations: the most that a method's needs can stand for. */
function memoryOfNeeds({ needs }: Editor, model: Footprint): MethodMemory {
  const { layers } = model.config
  const work = { tokens: EDIT_TOKENS, attended: ASKED.tokens, logits: ASKED.rows, layers }
  const covariance = needs.includes('covariance') ? covarianceMemory(model) : { prepareBytes: 0, heldBytes: 0 }
  const editBytes = needs.includes('gradient') ? gradientBytes(model, work) : forwardBytes(model, work)
  return {
    ...covariance,
    editBytes: sessionBytes(model, EDIT_SESSIONS) + editBytes,
    queryBytes: sessionBytes(model, ASKING_SESSIONS),
  }
}
