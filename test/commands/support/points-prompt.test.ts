import { render } from '@inquirer/testing'
import { describe, expect, test } from 'vitest'
import { askPoints } from '../../../src/commands/support/points-prompt.ts'

const CONFIG = {
  message: 'How many points is each worth to you?',
  rows: [
    { label: 'Reliability', range: 'no … every edit takes' },
    { label: 'Locality', range: 'all … nothing else changes' },
    { label: 'Efficiency', range: '2 h … 10 s' },
  ],
  start: [50, 25, 25],
  unicode: true,
}

describe('the points prompt', () => {
  test('shows a bar, the points and the range of each row', async () => {
    const { getScreen, events, answer } = await render(askPoints, CONFIG)
    const lines = getScreen().split('\n')
    expect(lines[0]).toBe('? How many points is each worth to you?')
    expect(lines[1]).toBe('> Reliability  ████████████············  50  no … every edit takes')
    expect(lines[2]).toBe('  Locality     ██████··················  25  all … nothing else changes')
    expect(lines[4]).toContain('left: 0')
    events.keypress('enter')
    await expect(answer).resolves.toEqual([50, 25, 25])
    expect(getScreen()).toBe('✔ How many points is each worth to you? Reliability 50, Locality 25, Efficiency 25')
  })

  test('moves points with arrows, by one with shift', async () => {
    const { events, answer, getScreen } = await render(askPoints, CONFIG)
    events.keypress('left')
    events.keypress({ name: 'left', shift: true })
    expect(getScreen()).toContain('left: 6')
    events.keypress('down')
    events.keypress('right')
    events.keypress({ name: 'right', shift: true })
    events.keypress('enter')
    await expect(answer).resolves.toEqual([44, 31, 25])
  })

  test('refuses Enter while points are left, and says how to go on', async () => {
    const { events, answer, getScreen } = await render(askPoints, CONFIG)
    events.keypress('left')
    events.keypress('enter')
    expect(getScreen()).toContain('5 points are left: give them, or press f to fill up.')
    events.type('f')
    expect(getScreen()).not.toContain('are left')
    events.keypress('enter')
    // 45, 25, 25 filled up to 100: 47.4, 26.3, 26.3.
    await expect(answer).resolves.toEqual([48, 26, 26])
  })

  test('takes digits, r and =', async () => {
    const { events, answer, getScreen } = await render(askPoints, CONFIG)
    events.type('1')
    events.type('2')
    expect(getScreen()).toContain(' 12  no … every edit takes')
    events.type('r')
    expect(getScreen()).toContain(' 50  no … every edit takes')
    events.type('=')
    events.keypress('enter')
    await expect(answer).resolves.toEqual([34, 33, 33])
  })

  test('draws with ASCII where the terminal takes no more', async () => {
    const { getScreen, events, answer } = await render(askPoints, { ...CONFIG, unicode: false })
    expect(getScreen()).toContain('############............  50')
    expect(getScreen()).not.toContain('±')
    events.keypress('enter')
    await answer
  })
})
