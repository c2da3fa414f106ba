import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-gptj', 'tiny-gptj-whole'] as const) describeArchitecture(name)
