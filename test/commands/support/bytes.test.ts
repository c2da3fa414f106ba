import { expect, test } from 'vitest'
import { formatBytes } from '../../../src/commands/support/bytes.ts'

test.each([
  [0, '0 bytes'],
  [1023, '1023 bytes'],
  [1024, '1.0 KiB'],
  [98_362_432, '93.8 MiB'],
  [538_090_376, '513.2 MiB'],
  [3 * 2 ** 30, '3.0 GiB'],
  [2 ** 60, '1048576.0 TiB'],
])('%i bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})
