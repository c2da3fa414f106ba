import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of ['tiny-qwen2', 'tiny-qwen2-window'] as const) describeArchitecture(name)
