import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-gemma3', 'tiny-gemma3-scaled'] as const) describeArchitecture(name)
