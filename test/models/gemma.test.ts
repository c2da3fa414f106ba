import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-gemma', 'tiny-gemma-wide'] as const) describeArchitecture(name)
