/** Central differences: what a gradient by hand is held against. */

/** Wide enough that float32 parameters move by what they are told to, narrow enough for three digits. */
const STEP = 2 ** -9

/** The slope of a loss for each number, which is moved in place and put back. */
export function differences(values: Float32Array | Float64Array, loss: () => number): Float64Array {
  return Float64Array.from(values, (start, i) => {
    values[i] = start + STEP
    const above = loss()
    values[i] = start - STEP
    const below = loss()
    values[i] = start
    return (above - below) / (2 * STEP)
  })
}
