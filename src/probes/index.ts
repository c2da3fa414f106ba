/** The probes, by name. A new probe is one file and one line here. */
import { alias } from './alias.ts'
import { generalization } from './generalization.ts'
import { neighbours } from './neighbours.ts'
import { oneHop } from './one-hop.ts'
import { otherRelations } from './other-relations.ts'
import type { Probe } from './probe.ts'
import { reliability } from './reliability.ts'
import { reversed } from './reversed.ts'

/** Every probe, in the order in which they are asked. */
export const PROBES = {
  reliability,
  generalization,
  neighbours,
  'other-relations': otherRelations,
  alias,
  reversed,
  'one-hop': oneHop,
} as const satisfies Record<string, Probe>
