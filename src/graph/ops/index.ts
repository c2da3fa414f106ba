/** The op table: every row, by name. Tests walk it; the code imports the operations themselves. */
import { GROUPED_ATTENTION, ROTARY } from './attention.ts'
import { ADD, DIVIDE, EXP, LOG, MULTIPLY, NEGATE, SIGMOID, SILU, SQRT, SUBTRACT } from './elementwise.ts'
import { MATMUL } from './matmul.ts'
import { LOG_SOFTMAX, RMS_NORM, SOFTMAX } from './normalize.ts'
import { ARGMAX, BROADCAST, DROP_LEADING, SUM } from './reduce.ts'
import { ADD_PAIRS, ADD_ROWS, GATHER_PAIRS, GATHER_ROWS, REPLACE_ROWS, ZEROS_LIKE } from './rows.ts'
import { LESS_OR_EQUAL, TOP_K, WHERE } from './select.ts'
import { CONCAT, PART, RESHAPE, TRANSPOSE } from './shape.ts'

/** All rows of the op table. */
export const OPS = [
  ...[ADD, DIVIDE, EXP, LOG, MULTIPLY, NEGATE, SIGMOID, SILU, SQRT, SUBTRACT],
  ...[ARGMAX, BROADCAST, DROP_LEADING, SUM],
  ...[CONCAT, PART, RESHAPE, TRANSPOSE],
  MATMUL,
  ...[ADD_PAIRS, ADD_ROWS, GATHER_PAIRS, GATHER_ROWS, REPLACE_ROWS, ZEROS_LIKE],
  ...[LOG_SOFTMAX, RMS_NORM, SOFTMAX],
  ...[LESS_OR_EQUAL, TOP_K, WHERE],
  ...[GROUPED_ATTENTION, ROTARY],
]
