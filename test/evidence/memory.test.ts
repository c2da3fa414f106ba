import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createMemoryGauge, parseAnonymous, readMemory } from '../../src/evidence/memory.ts'

test('the peak is the highest since the last restart, also between looks', async () => {
  const values = [5, 9, 7]
  const gauge = createMemoryGauge(() => values.shift() ?? 3)
  await sleep(150)
  expect(gauge.peak()).toBe(9)
  gauge.restart()
  expect(gauge.peak()).toBe(3)
  gauge.stop()
})

test.each([
  ['VmRSS:\t  900 kB\nRssAnon:\t     120 kB\nRssFile:\t 780 kB\n', 122880],
  ['VmRSS:\t  900 kB\n', undefined],
  ['', undefined],
])('anonymous memory in %j', (status, bytes) => {
  expect(parseAnonymous(status)).toBe(bytes)
})

test.skipIf(!existsSync('/proc/self/status'))('memory of our own counts, a mapped file does not', () => {
  const read = readMemory(() => Number.NaN)
  const before = read()
  const block = new Uint8Array(64 * 2 ** 20).fill(1)
  expect(read() - before).toBeGreaterThan(60 * 2 ** 20)
  expect(block[0]).toBe(1)
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
  expect(read()).toBeLessThan(resident)
})
