import { expect, test } from 'vitest'
import { reasonNotToFit } from '../../../src/commands/support/fit.ts'

const GIB = 2 ** 30
const ROME = { title: 'ROME', weightsBytes: 4 * GIB, ownBytes: 3 * GIB }

test.each([
  ['room for all', 7, null, null],
  [
    'room short of a byte',
    7 - 1 / GIB,
    null,
    'expected 7.0 GiB of memory (4.0 GiB of weights, up to 3.0 GiB to work), found 7.0 GiB',
  ],
  ['a limit for the work', 7, 3, null],
  ['a limit that it may keep to', 7, 2, null],
  [
    'a limit that it cannot keep to',
    7,
    1.9,
    'expected at least 2.0 GiB of memory (4.0 GiB of weights, up to 3.0 GiB to work), found a limit of 1.9 GiB',
  ],
  ['too little of both', 1, 1, 'found 1.0 GiB available on this machine'],
])('%s', (_, available, limit, message) => {
  const room = { availableBytes: available * GIB, limitBytes: limit === null ? null : limit * GIB }
  const reason = reasonNotToFit(ROME, room)
  if (message === null) expect(reason).toBeNull()
  else expect([reason?.code, reason?.exit, reason?.message]).toEqual(['E_MEMORY', 75, expect.stringContaining(message)])
})
