import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-gemma2', 'tiny-gemma2-plain'] as const) describeArchitecture(name)
