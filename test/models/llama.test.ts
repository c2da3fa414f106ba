import { describeArchitecture } from '../support/architecture-suite.ts'

for (const name of [
  'tiny-llama',
  'tiny-llama-untied',
  'tiny-llama3',
  'tiny-llama-yarn',
  'tiny-llama-linear',
  'tiny-llama-dynamic',
] as const)
  describeArchitecture(name)
