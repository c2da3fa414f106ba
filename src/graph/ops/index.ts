/** The op table: every row, by name. Tests walk it; the code imports the operations themselves. */
import { GROUPED_ATTENTION, ROTARY } from './attention.ts'
import {
  ADD,
  DIVIDE,
  ERF,
  EXP,
  GELU,
  GELU_TANH,
  LOG,
  MULTIPLY,
  NEGATE,
  RELU,
  SIGMOID,
  SIGN,
  SILU,
  SQRT,
  SUBTRACT,
  TANH,
} from './elementwise.ts'
import { MATMUL } from './matmul.ts'
import { LAYER_NORM, LOG_SOFTMAX, RMS_NORM, SOFTMAX } from './normalize.ts'
import { ARGMAX, BROADCAST, DROP_LEADING, SUM } from './reduce.ts'
import { ADD_PAIRS, ADD_ROWS, GATHER_PAIRS, GATHER_ROWS, REPLACE_ROWS, ZEROS_LIKE } from './rows.ts'
import { LESS_OR_EQUAL, TOP_K, WHERE } from './select.ts'
import { CONCAT, PAD, PART, RESHAPE, SLICE, TRANSPOSE, WIDEN } from './shape.ts'

/** All rows of the op table. */
export const OPS = [
  ...[ADD, DIVIDE, EXP, LOG, MULTIPLY, NEGATE, SQRT, SUBTRACT],
  ...[ERF, GELU, GELU_TANH, RELU, SIGMOID, SIGN, SILU, TANH],
  ...[ARGMAX, BROADCAST, DROP_LEADING, SUM],
  ...[CONCAT, PAD, PART, RESHAPE, SLICE, TRANSPOSE, WIDEN],
  MATMUL,
  ...[ADD_PAIRS, ADD_ROWS, GATHER_PAIRS, GATHER_ROWS, REPLACE_ROWS, ZEROS_LIKE],
  ...[LAYER_NORM, LOG_SOFTMAX, RMS_NORM, SOFTMAX],
  ...[LESS_OR_EQUAL, TOP_K, WHERE],
  ...[GROUPED_ATTENTION, ROTARY],
]
