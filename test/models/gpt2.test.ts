import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-gpt2', 'tiny-gpt2-scaled'] as const) describeArchitecture(name)
