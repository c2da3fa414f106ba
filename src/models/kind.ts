/** Tells models that write from those that only read, by their configuration. */
import type { JsonObject } from './json.ts'

/** Language models write text and can be edited; encoders turn sentences into vectors, which some methods search by. */
export type ModelKind = 'language-model' | 'encoder'

/** The `model_type` of BERT and of those made after it, which share the keys of its configuration. */
const ENCODERS: ReadonlySet<unknown> = new Set(['bert', 'roberta', 'xlm-roberta', 'camembert', 'electra', 'mpnet'])

/** What kind a configuration is of. */
export function kindOf(config: JsonObject): ModelKind {
  return ENCODERS.has(config.model_type) ? 'encoder' : 'language-model'
}
