import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-gpt-neox', 'tiny-gpt-neox-serial'] as const) describeArchitecture(name)
