import { totalmem } from 'node:os'
import { afterEach, expect, test, vi } from 'vitest'
import { machineMemory, memoryForModel, readMemoryLimit } from '../../../src/commands/support/machine-memory.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

test.each([
  ['no limit', 0],
  ['a limit beyond all memory', 2 ** 63],
])('is the machine itself: %s', (_, limit) => {
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(limit)
  const { totalBytes, availableBytes } = machineMemory()
  expect(totalBytes).toBe(totalmem())
  expect(availableBytes).toBeGreaterThan(0)
  expect(availableBytes).toBeLessThanOrEqual(totalBytes)
})

test('is the container, where there is one', () => {
  const limit = process.memoryUsage.rss() + 50 * 2 ** 20
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(limit)
  const { totalBytes, availableBytes } = machineMemory()
  expect(totalBytes).toBe(limit)
  expect(availableBytes).toBeLessThan(100 * 2 ** 20)
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(1)
  expect(machineMemory()).toEqual({ totalBytes: 1, availableBytes: 0 })
})

test('takes macOS at its word about all memory, not about free memory', () => {
  const { platform } = process
  Object.defineProperty(process, 'platform', { value: 'darwin' })
  try {
    vi.spyOn(process, 'constrainedMemory').mockReturnValue(0)
    expect(machineMemory()).toEqual({ totalBytes: totalmem(), availableBytes: totalmem() })
  } finally {
    Object.defineProperty(process, 'platform', { value: platform })
  }
})

test('a user may allow less, not more', () => {
  expect(memoryForModel(null)).toBe(machineMemory().totalBytes)
  expect(memoryForModel(1000)).toBe(1000)
  expect(memoryForModel(Number.MAX_VALUE)).toBe(machineMemory().totalBytes)
})

test.each([
  [undefined, null],
  ['2 GiB', 2 ** 31],
])('reads what a user allows: %s', (text, bytes) => {
  expect(readMemoryLimit(text)).toBe(bytes)
})

test('refuses what is no size', () => {
  expect(() => readMemoryLimit('lots\u001b')).toThrow(
    expect.objectContaining({ code: 'E_MAX_MEMORY', message: expect.stringContaining('\\u001b') }),
  )
})
