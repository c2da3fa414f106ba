import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import { type HeatMap, renderHeatMap, renderHeatMapSvg } from '../../src/report/heat-map.ts'

const MAP: HeatMap = {
  title: 'feed-forward',
  rows: ['The', '*France', 'is'],
  columns: ['0', '1', '2', '3', '4', '5'],
  values: [
    [0, 0, 0, 0, 0, null],
    [-0.2, 0.25, 0.5, 0.7, 0.95, 1.4],
    [0.1, 0.19, 0.2, 0.4, 0.6, 0.8],
  ],
}
const WIDE = { color: false, columns: 80, unicode: true }

describe('in a terminal', () => {
  test('numbers are shades, two characters each', () => {
    expect(renderHeatMap(MAP, WIDE).split('\n')).toEqual([
      'feed-forward',
      '        0         5',
      '    The           --',
      '*France   ░░▒▒▓▓████',
      '     is     ░░▒▒▓▓██',
    ])
  })

  test('in ASCII they are tenths', () => {
    expect(
      renderHeatMap(MAP, { ...WIDE, unicode: false })
        .split('\n')
        .slice(2),
    ).toEqual(['    The ..........--', '*France ..2255779999', '     is 111122446688'])
  })

  test('one character each where two do not fit; names of columns run over those without', () => {
    const columns = Array.from({ length: 30 }, (_, i) => String(i))
    const map = { ...MAP, columns, values: MAP.rows.map(() => columns.map(() => 1)) }
    const lines = renderHeatMap(map, { ...WIDE, columns: 60 }).split('\n')
    expect(lines[1]).toBe('        0    5    10   15   20   25')
    expect(lines[2]).toBe(`    The ${'█'.repeat(30)}`)
  })

  test('names are made harmless, and cut', () => {
    const map = { ...MAP, rows: ['\u001b[2J', 'x'.repeat(50), ' '] }
    const text = renderHeatMap(map, WIDE)
    expect(text).not.toContain('\u001b')
    expect(text).toContain(`${'x'.repeat(19)}… `)
    expect(text).toContain('" " ')
    expect(
      new Set(
        text
          .split('\n')
          .slice(2)
          .map((line) => stringWidth(line.split(' ')[0] ?? '')),
      ).size,
    ).toBeGreaterThan(0)
  })
})

describe('as a picture', () => {
  test('every number is a rectangle that names it', () => {
    const svg = renderHeatMapSvg([MAP, MAP])
    expect(svg.match(/<rect x=/g)).toHaveLength(2 * 18)
    expect(svg).toContain('<title>*France, 2: 0.500</title>')
    expect(svg).toContain('<title>The, 5: none</title>')
    expect(svg).toContain('fill="rgb(240, 244, 250)"')
    expect(svg).toContain('fill="rgb(8, 48, 107)"')
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="306" height="268"/)
  })

  test('takes no text for markup', () => {
    const svg = renderHeatMapSvg([{ ...MAP, title: '</text><script>', rows: ['"&<>', 'b', 'c'] }])
    expect(svg).not.toContain('<script>')
    expect(svg).toContain('&quot;&amp;&lt;&gt;')
  })
})
