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
  readonly at?: string
  readonly delayMs?: number
}

/** Plans `cases` facts for each method; `wrong` and `at` go to the first. */
export function makeStubPlan(options: StubPlan): Plan {
  const { cases, regimes = ['single'], methods = ['stub', 'other'], wrong = 'never', at = '', delayMs = 0 } = options
  const { model, machine, createdAt } = makeRunInfo()
  const quiet = { wrong: 'never', at: '', delayMs }
  return makePlan({
    model,
    data: { name: 'stub', format: 'stub', facts: makeFacts(cases) },
    methods: methods.map((name, index) => ({
      name,
      title: `Stub ${name}`,
      family: 'control',
      version: 1,
      hparams: index === 0 ? { wrong, at, delayMs } : quiet,
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
