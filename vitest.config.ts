import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // oclif's test helper reads what a command prints; vitest's own capture would take it away.
    disableConsoleIntercept: true,
    testTimeout: 60_000,
    // Models are opened and prepared in hooks.
    hookTimeout: 60_000,
    // Two cores: more workers than cores only makes the model tests fight for them.
    maxWorkers: 2,
    pool: 'forks',
  },
})
