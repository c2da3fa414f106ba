/** Asks for points over a few rows, on the keyboard: what `support/points.ts` computes, shown as bars. */
import { styleText } from 'node:util'
import {
  createPrompt,
  isDownKey,
  isEnterKey,
  isUpKey,
  type KeypressEvent,
  useKeypress,
  usePrefix,
  useState,
} from '@inquirer/core'
import stringWidth from 'string-width'
import {
  addPoints,
  equalPoints,
  eraseDigit,
  fillPoints,
  moveRow,
  type PointsState,
  pointsLeft,
  TOTAL_POINTS,
  typeDigit,
} from './points.ts'

/** One row to give points to. */
export interface PointsRow {
  readonly label: string
  /** What the points buy: the range from no to full marks. */
  readonly range: string
}

/** What is asked. */
export interface PointsConfig {
  readonly message: string
  readonly rows: readonly PointsRow[]
  /** Points to begin with. */
  readonly start: readonly number[]
  /** False where the terminal takes ASCII only. */
  readonly unicode: boolean
}

const BIG_STEP = 5
const SMALL_STEP = 1
const BAR_WIDTH = 24
const KEYS = 'up/down choose, left/right ±5, shift ±1, digits, f fill, r reset, = equal, enter accept'

/** Shows the rows until the points are given; resolves to one number a row, 100 in all. */
export const askPoints = createPrompt<number[], PointsConfig>((config, done) => {
  const [state, setState] = useState<PointsState>({ points: config.start, row: 0, typed: '' })
  const [status, setStatus] = useState<'idle' | 'done'>('idle')
  const [complaint, setComplaint] = useState('')
  const prefix = usePrefix({ status })

  useKeypress((key, line) => {
    const typed = line.line
    line.clearLine(0)
    if (!isEnterKey(key)) {
      setComplaint('')
      setState(nextState(state, key, typed, config.start))
    } else if (pointsLeft(state) > 0) {
      setComplaint(`${pointsLeft(state)} points are left: give them, or press f to fill up.`)
    } else {
      setStatus('done')
      done([...state.points])
    }
  })

  const head = `${prefix} ${styleText('bold', config.message)}`
  if (status === 'done') return `${head} ${styleText('cyan', describeAnswer(config, state))}`
  return [[head, ...formatRows(config, state), formatFoot(config, state)].join('\n'), complaint]
})

/** The state after a key. `typed` is the character it gave, if any. */
function nextState(state: PointsState, key: KeypressEvent, typed: string, start: readonly number[]): PointsState {
  const step = key.shift ? SMALL_STEP : BIG_STEP
  if (isUpKey(key)) return moveRow(state, -1)
  if (isDownKey(key)) return moveRow(state, 1)
  if (key.name === 'left') return addPoints(state, -step)
  if (key.name === 'right') return addPoints(state, step)
  if (key.name === 'backspace') return eraseDigit(state)
  if (/^\d$/.test(typed)) return typeDigit(state, typed)
  if (typed === 'f') return fillPoints(state)
  if (typed === 'r') return { ...state, points: start, typed: '' }
  return typed === '=' ? equalPoints(state) : state
}

function formatRows({ rows, unicode }: PointsConfig, { points, row }: PointsState): string[] {
  const width = Math.max(...rows.map(({ label }) => stringWidth(label)))
  return rows.map(({ label, range }, i) => {
    const value = points[i] ?? 0
    const name = label + ' '.repeat(width - stringWidth(label))
    const line = `${i === row ? '>' : ' '} ${name}  ${formatBar(value, unicode)} ${String(value).padStart(3)}  `
    return (i === row ? styleText('cyan', line) : line) + styleText('dim', range)
  })
}

function formatBar(value: number, unicode: boolean): string {
  const full = Math.round((value / TOTAL_POINTS) * BAR_WIDTH)
  const [filled, empty] = unicode ? ['█', '·'] : ['#', '.']
  return filled.repeat(full) + empty.repeat(BAR_WIDTH - full)
}

function formatFoot({ unicode }: PointsConfig, state: PointsState): string {
  const keys = unicode ? KEYS : KEYS.replaceAll('±', '+-')
  return `  left: ${pointsLeft(state)}   ${styleText('dim', `(${keys})`)}`
}

function describeAnswer({ rows }: PointsConfig, { points }: PointsState): string {
  return rows.map(({ label }, i) => `${label} ${points[i] ?? 0}`).join(', ')
}
