import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-mistral', 'tiny-mistral-whole'] as const) describeArchitecture(name)
