import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-qwen3', 'tiny-qwen3-biased'] as const) describeArchitecture(name)
