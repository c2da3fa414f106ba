/** Plays the user of a wizard: waits for each question to be drawn, then presses keys. */
import { PassThrough, Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import type { AskStreams } from '../../src/commands/support/asker.ts'

/** A key by its name, or text to be typed. */
export type Key = { readonly name: string; readonly shift?: boolean; readonly ctrl?: boolean } | string

/** What to wait for on the screen, and what to press then. */
export type Step = readonly [shown: string, ...keys: readonly Key[]]

export const ENTER: Key = { name: 'enter' }
export const DOWN: Key = { name: 'down' }
export const UP: Key = { name: 'up' }

/** Streams that answer by a script, and all that was drawn. */
export function answerPrompts(
  script: readonly Step[],
): AskStreams & { readonly drawn: () => string; readonly unanswered: () => readonly Step[] } {
  const input = new PassThrough()
  const left = [...script]
  let all = ''
  let screen = ''
  const press = (key: Key): void => {
    if (typeof key === 'string') input.write(key)
    else input.emit('keypress', null, key)
  }
  const output = new Writable({
    write(chunk, _encoding, done) {
      const text = stripVTControlCharacters(String(chunk))
      all += text
      screen += text
      const [step] = left
      if (step !== undefined && screen.includes(step[0])) {
        left.shift()
        screen = ''
        // After the prompt has taken hold of the keyboard.
        setTimeout(() => step.slice(1).forEach(press), 5)
      }
      done()
    },
  })
  // Each prompt ends its stream; as on a terminal, the next one draws on.
  Object.assign(output, { end: () => output })
  return { input, output, drawn: () => all, unanswered: () => left }
}
