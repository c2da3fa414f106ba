import { describe, expect, test } from 'vitest'
import { shareMachine } from '../../src/evidence/side-by-side.ts'

const MIB = 2 ** 20
const SMALL = { weightsBytes: 10 * MIB, laneBytes: 200 * MIB, cores: 4, availableBytes: 8192 * MIB }

describe('lanes of a small model', () => {
  test('have a core each, and each session a layout of its own', () => {
    expect(shareMachine(SMALL)).toEqual({ lanes: 4, session: { threads: 1, prepack: true } })
  })

  test.each([
    ['memory for two', { availableBytes: 600 * MIB }, 2],
    ['memory for less than one', { availableBytes: 100 * MIB }, 1],
    ['one core', { cores: 1 }, 1],
  ])('are as many as there is room for: %s', (_, less, lanes) => {
    expect(shareMachine({ ...SMALL, ...less }).lanes).toBe(lanes)
  })
})

test('lanes of a large model have all cores, one after another', () => {
  expect(shareMachine({ ...SMALL, weightsBytes: 540 * MIB })).toEqual({ lanes: 1, session: {} })
})
