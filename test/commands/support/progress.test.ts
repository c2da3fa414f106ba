import { expect, test } from 'vitest'
import { createProgress, formatEvent } from '../../../src/commands/support/progress.ts'

function record(isTTY: boolean) {
  const written: string[] = []
  const clock = { ms: 0 }
  const stream = { isTTY, columns: 30, write: (text: string) => written.push(text) }
  return { written, clock, progress: createProgress(stream, () => clock.ms) }
}

test('a terminal gets one line, rewritten at most ten times a second, and always the last step', () => {
  const { written, clock, progress } = record(true)
  for (const done of [1, 2, 3]) {
    progress.report({ task: 'rome', done, total: 3, unit: 'facts' })
    clock.ms += 50
  }
  progress.clear()
  expect(written).toEqual(['\r\u001b[2Krome  1/3 facts', '\r\u001b[2Krome  3/3 facts', '\r\u001b[2K'])
})

test('a line never fills the terminal: it could not be rewritten', () => {
  const { written, progress } = record(true)
  progress.report({ task: 'x'.repeat(100), done: 1, unit: 'steps' })
  expect(written[0]).toBe(`\r\u001b[2K${'x'.repeat(29)}`)
})

test('a log gets a line for each task and one every half minute', () => {
  const { written, clock, progress } = record(false)
  for (const [task, ms] of [
    ['a', 0],
    ['a', 29_999],
    ['a', 30_000],
    ['b', 30_001],
    ['b', 30_002],
  ] as const) {
    clock.ms = ms
    progress.report({ task, done: ms, unit: 'steps' })
  }
  progress.clear()
  expect(written).toEqual(['a  0 steps\n', 'a  30000 steps\n', 'b  30001 steps\n'])
})

test('a training tells its loss', () => {
  const event = { task: 'adapters', done: 3, total: 60, unit: 'steps', loss: 1.23456 }
  expect(formatEvent(event)).toBe('adapters  3/60 steps, loss 1.23')
})

test('bytes are told in MiB, and names cannot reach the terminal', () => {
  expect(formatEvent({ task: 'a\u001b[2J', done: 1_572_864, total: 2 ** 21, unit: 'bytes' })).toBe(
    'a\\u001b[2J  1.5/2.0 MiB',
  )
})
