import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-t5', 'tiny-t5-gated'] as const) describeArchitecture(name)
