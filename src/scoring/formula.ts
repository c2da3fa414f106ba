/**
 * A user's own formula over the criteria's values (0–100), instead of the weighted average: `min(reliability, locality)`.
 * The only importer of `mathjs`, loaded only for a profile with a formula.
 *
 * The text comes from a file and is not trusted. It is parsed, and every node of its tree must be of a listed kind: numbers,
 * the criteria's names, arithmetic, comparisons, conditions and a few functions. Nothing else can be reached: no assignment, no
 * property, no `import`, no `evaluate`. It is then tried on a grid over all criteria: it must stay within 0–100 and never
 * fall when a criterion rises, or a better method could rank below a worse one.
 */
import type { MathNode } from 'mathjs'
import { CRITERION_NAMES, type Criterion } from './criteria.ts'

/** A formula ready to be computed. */
export interface Formula {
  readonly text: string
  /** The criteria that it reads, in the order of the criteria. */
  readonly criteria: readonly Criterion[]
  /** Whether it reads `weighted`, the weighted average of all. */
  readonly usesWeights: boolean
  /** The formula's result for the criteria's values and their weighted average. May be NaN off the grid it was tried on. */
  readonly evaluate: (values: Readonly<Record<string, number>>) => number
}

/** Long enough for any formula a person would write; bounds the depth of its tree. */
const MAX_LENGTH = 400
const FUNCTIONS = ['min', 'max', 'sqrt', 'cbrt', 'exp', 'log', 'log2', 'log10', 'abs', 'pow', 'mean', 'median']
const OPERATORS = [
  ...['add', 'subtract', 'multiply', 'divide', 'pow', 'unaryMinus', 'unaryPlus'],
  ...['smaller', 'smallerEq', 'larger', 'largerEq', 'equal', 'unequal', 'and', 'or', 'not'],
]
/** The name under which the weighted average of all criteria may be used. */
const WEIGHTED = 'weighted'
const NAMES: readonly string[] = [...CRITERION_NAMES, WEIGHTED]
/** Where the formula is tried, for each criterion it reads. */
const GRID = [0, 25, 50, 75, 100]
/** Rounding may lower a result by so much without meaning anything. */
const TOLERANCE = 1e-9

/** Why a text is no formula; its message ends "expected …". */
export class FormulaError extends Error {
  override readonly name = 'FormulaError'
}

/**
 * Reads a formula.
 * @throws FormulaError for what is wrong with it.
 */
export async function compileFormula(text: string): Promise<Formula> {
  if (text.length > MAX_LENGTH) throw new FormulaError(`a formula of at most ${MAX_LENGTH} characters`)
  // The build for plain numbers: half the time to load of the full one, and all that a formula may use.
  const { parse } = await import('mathjs/number')
  const tree = readTree(text, parse)
  const names = new Set<string>()
  tree.traverse((node) => checkNode(node, names))
  const criteria = CRITERION_NAMES.filter((name) => names.has(name))
  const usesWeights = names.has(WEIGHTED)
  if (criteria.length === 0 && !usesWeights) throw new FormulaError(`a formula that reads one of ${NAMES.join(', ')}`)
  const compiled = tree.compile()
  const evaluate = (values: Readonly<Record<string, number>>): number => {
    const result: unknown = compiled.evaluate({ ...values })
    return typeof result === 'number' ? result : Number.NaN
  }
  tryOnGrid(evaluate, usesWeights ? [...criteria, WEIGHTED] : criteria)
  return { text, criteria, usesWeights, evaluate }
}

function readTree(text: string, parse: (text: string) => MathNode): MathNode {
  try {
    return parse(text)
  } catch (error) {
    throw new FormulaError(`a formula: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The fields of the tree's nodes that are looked at. */
interface NodeParts {
  readonly type: string
  readonly name?: unknown
  readonly fn?: unknown
  readonly value?: unknown
}

function checkNode(node: MathNode, names: Set<string>): void {
  const { type, name, fn, value }: NodeParts = node
  if (type === 'ParenthesisNode' || type === 'ConditionalNode' || type === 'RelationalNode') return
  if (type === 'ConstantNode' && typeof value === 'number') return
  if (type === 'OperatorNode' && typeof fn === 'string' && OPERATORS.includes(fn)) return
  if (type === 'FunctionNode' && typeof fn === 'object' && FUNCTIONS.includes(String(name))) return
  if (type === 'SymbolNode' && FUNCTIONS.includes(String(name))) return
  if (type === 'SymbolNode' && NAMES.includes(String(name))) {
    names.add(String(name))
    return
  }
  const allowed = `numbers, ${NAMES.join(', ')}, + - * / ^, comparisons, a ? b : c, ${FUNCTIONS.join(', ')}`
  throw new FormulaError(`a formula made only of ${allowed} (\`${node.toString()}\` is none of these)`)
}

function tryOnGrid(evaluate: Formula['evaluate'], names: readonly string[]): void {
  for (const point of gridOf(names)) {
    const result = evaluate(point)
    const place = names.map((name) => `${name} ${point[name]}`).join(', ')
    if (!(result >= -TOLERANCE && result <= 100 + TOLERANCE)) {
      throw new FormulaError(`a formula whose result lies within 0–100 (at ${place} it is ${result})`)
    }
    for (const name of names) {
      const raised = (point[name] ?? 0) + 25
      if (raised <= 100 && evaluate({ ...point, [name]: raised }) < result - TOLERANCE) {
        throw new FormulaError(`a formula that never falls when ${name} rises (it does at ${place})`)
      }
    }
  }
}

/** Every combination of grid values. */
function gridOf(names: readonly string[]): Record<string, number>[] {
  return names.reduce<Record<string, number>[]>(
    (points, name) => points.flatMap((point) => GRID.map((value) => ({ ...point, [name]: value }))),
    [{}],
  )
}
