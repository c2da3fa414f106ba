/**
 * Asks one thing at a time on the terminal: Inquirer's prompts in the few forms the wizard needs. Drawn on standard error,
 * so that results stay alone on standard output. The only importer of `inquirer`, which loads when first asked.
 */
import type { PointsConfig } from './points-prompt.ts'

/** One answer to choose. */
export interface Choice<T extends string> {
  readonly value: T
  readonly name: string
  /** Shown while the choice is lit. */
  readonly description?: string
}

/** A question for a text. */
export interface TextQuestion {
  readonly start?: string
  /** True, or what is wrong with the text. */
  readonly check?: (text: string) => true | string
}

/** Where questions are drawn and answered. */
export interface AskStreams {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
}

/** The ways to ask. Each ends with Inquirer's ExitPromptError on Ctrl-C. */
export interface Asker {
  choose<T extends string>(message: string, choices: readonly Choice<T>[], start?: T): Promise<T>
  text(message: string, question?: TextQuestion): Promise<string>
  /** A whole number of at least `min`. */
  count(message: string, start: number, min?: number): Promise<number>
  agree(message: string, start: boolean): Promise<boolean>
  points(config: PointsConfig): Promise<number[]>
}

/** A question of any prompt; the rest is the prompt's own. */
interface AnyQuestion {
  readonly type: string
  readonly message: string
  readonly [setting: string]: unknown
}

/** Makes an asker. */
export async function createAsker(streams: AskStreams): Promise<Asker> {
  const [{ createPromptModule }, { askPoints }] = await Promise.all([import('inquirer'), import('./points-prompt.ts')])
  const module = createPromptModule(streams)
  module.registerPrompt('points', askPoints)
  // A registered prompt's own settings are beyond Inquirer's types; they pass through as they are.
  const ask = async <T>(question: AnyQuestion): Promise<T> => {
    const { answer } = await module<{ answer: T }>([{ ...question, name: 'answer' }])
    return answer
  }
  return {
    choose: (message, choices, start) => ask({ type: 'select', message, choices, default: start }),
    text: async (message, { start, check } = {}) =>
      (
        await ask<string>({
          type: 'input',
          message,
          default: start,
          validate: (text: string) => check?.(text.trim()) ?? true,
        })
      ).trim(),
    count: async (message, start, min = 1) =>
      Number(
        await ask<string>({
          type: 'input',
          message,
          default: String(start),
          validate: (text: string) => checkCount(text, min),
        }),
      ),
    agree: (message, start) => ask({ type: 'confirm', message, default: start }),
    points: (config) => ask({ type: 'points', ...config }),
  }
}

function checkCount(text: string, min: number): true | string {
  const isCount = /^\d{1,15}$/.test(text.trim()) && Number(text) >= min
  return isCount || `Expected a whole number from ${min} on, without commas or units.`
}
