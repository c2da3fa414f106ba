/** A plan for the stub methods of `stub-lane.ts`. */
import { makePlan, type Plan } from '../../src/evidence/plan.ts'
import { PROBES } from '../../src/probes/index.ts'
import { makeRunInfo } from './records.ts'
import { makeFacts, type StubHparams } from './stub-editor.ts'

/** What a stub plan is made of. */
export interface StubPlan {
  readonly cases: number
  readonly regimes?: readonly string[]
  readonly methods?: readonly string[]
  readonly wrong?: StubHparams['wrong']
  /** The method that goes wrong; default the first. */
  readonly wrongIn?: string
  readonly at?: string
  readonly delayMs?: number
}

/** Plans `cases` facts for each method. */
export function makeStubPlan(options: StubPlan): Plan {
  const { cases, regimes = ['single'], methods = ['stub', 'other'], wrong = 'never', at = '', delayMs = 0 } = options
  const { wrongIn = methods[0] } = options
  const { model, machine, createdAt } = makeRunInfo()
  const quiet = { wrong: 'never', at: '', delayMs }
  return makePlan({
    model,
    data: { name: 'stub', format: 'stub', facts: makeFacts(cases), learning: null },
    methods: methods.map((name) => ({
      name,
      title: `Stub ${name}`,
      family: 'control',
      version: 1,
      hparams: name === wrongIn ? { wrong, at, delayMs } : quiet,
    })),
    probes: Object.values(PROBES),
    cases,
    regimes,
    settings: { seed: 1, itemsPerProbe: 5, maxNewTokens: 16 },
    text: null,
    machine,
    versions: {},
    createdAt,
  })
}
