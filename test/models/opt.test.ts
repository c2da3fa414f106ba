import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-opt', 'tiny-opt-post-norm'] as const) describeArchitecture(name)
