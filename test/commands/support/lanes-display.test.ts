import { describe, expect, test } from 'vitest'
import { createLanesDisplay, formatLane } from '../../../src/commands/support/lanes-display.ts'
import type { LaneEvent } from '../../../src/evidence/lanes.ts'

const EVENT: LaneEvent = { method: 'rome', stage: 'case', done: 3, total: 8, rates: {}, failures: 0 }
const STEP = { task: 'v* of Angola', done: 12, total: 20, unit: 'steps' }

describe('a lane in a line', () => {
  test.each<[LaneEvent | undefined, string]>([
    [undefined, 'waiting'],
    [{ ...EVENT, stage: 'open', done: 0 }, '0/8  opening the model'],
    [{ ...EVENT, stage: 'prepare', done: 0 }, '0/8  preparing'],
    [{ ...EVENT, stage: 'prepare', done: 0, step: STEP }, '0/8  v* of Angola  12/20 steps'],
    [{ ...EVENT, rates: { reliability: 2 / 3, locality: 1 } }, '3/8  reliability 67  locality 100'],
    [{ ...EVENT, failures: 2 }, '3/8  2 failed'],
    [{ ...EVENT, step: { ...STEP, task: 'v* of \u001b[31mred' } }, '3/8  v* of \\u001b[31mred  12/20 steps'],
  ])('%#', (event, line) => {
    expect(formatLane(event)).toBe(line)
  })
})

/** What a display writes for events at given times; `isTTY` as on a terminal of 40 columns. */
function show(
  events: readonly (readonly [number, LaneEvent])[],
  isTTY: boolean,
  signal = new AbortController().signal,
) {
  const written: string[] = []
  let clock = 0
  const stream = { isTTY, columns: 40, write: (text: string) => written.push(text) }
  const display = createLanesDisplay(stream, { methods: ['rome', 'ft-m'], unicode: true, now: () => clock, signal })
  for (const [at, event] of events) {
    clock = at
    display.report(event)
  }
  return written
}

describe('on a terminal', () => {
  test('a line for each method is rewritten in place', () => {
    const [first, second] = show(
      [
        [0, EVENT],
        [500, { ...EVENT, done: 8 }],
      ],
      true,
    )
    expect(first).toBe('\r\u001b[Jrome  █████░░░░░░░ 3/8\nft-m   waiting\n')
    expect(second).toBe('\u001b[2A\r\u001b[Jrome  ████████████ 8/8\nft-m   waiting\n')
  })

  test('not more often than the eye sees, but at every new stage', () => {
    const events = [
      [0, EVENT],
      [10, EVENT],
      [20, { ...EVENT, stage: 'end' }],
      [60, EVENT],
      [220, EVENT],
    ] as const
    expect(show(events, true)).toHaveLength(4)
  })

  test('no line is as wide as the terminal', () => {
    const [text = ''] = show([[0, { ...EVENT, step: { ...STEP, task: 'x'.repeat(99) } }]], true)
    const lines = text.replace('\r\u001b[J', '').split('\n')
    expect(lines[0]).toHaveLength(39)
  })

  test('nothing once the work is being stopped', () => {
    expect(show([[0, EVENT]], true, AbortSignal.abort())).toEqual([])
  })
})

describe('off a terminal', () => {
  test('a line for each stage and every half minute', () => {
    const events = [
      [0, { ...EVENT, stage: 'open' }],
      [10, EVENT],
      [20, { ...EVENT, done: 4 }],
      [30_011, { ...EVENT, done: 5 }],
      [30_012, { ...EVENT, stage: 'end', done: 8 }],
    ] as const
    expect(show(events, false)).toEqual(['rome: 3/8  opening the model\n', 'rome: 3/8\n', 'rome: 5/8\n', 'rome: 8/8\n'])
  })

  test('lanes side by side do not repeat each other', () => {
    const other = { ...EVENT, method: 'ft-m' }
    const events = [
      [0, EVENT],
      [10, other],
      [20, EVENT],
      [30, other],
    ] as const
    expect(show(events, false)).toEqual(['rome: 3/8\n', 'ft-m: 3/8\n'])
  })

  test('nothing once the work is being stopped', () => {
    expect(show([[0, EVENT]], false, AbortSignal.abort())).toEqual([])
  })
})
