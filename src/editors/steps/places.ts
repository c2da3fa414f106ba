/** The positions of a row that a layer sees: all, or those of its own stack in an encoder-decoder. */
import type { LanguageModel, Position } from '../../models/model.ts'

/** A row of so many tokens that begins with a prompt. */
export interface RowLengths {
  readonly prompt: number
  readonly all: number
}

/** The places of a row that a layer sees, in order. */
export function listPlaces(
  { config: { encoderLayers } }: Pick<LanguageModel, 'config'>,
  layer: number,
  { prompt, all }: RowLengths,
  row: number,
): Position[] {
  const isEncoder = layer < encoderLayers
  const from = encoderLayers === 0 || isEncoder ? 0 : prompt - 1
  const to = isEncoder ? prompt : all
  return Array.from({ length: to - from }, (_, i) => ({ row, token: from + i }))
}
