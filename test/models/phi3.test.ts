import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-phi3', 'tiny-phi3-long'] as const) describeArchitecture(name)
