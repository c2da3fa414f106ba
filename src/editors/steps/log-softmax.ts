/** Log-probabilities from logits: what a model said, as a loss that holds it to it is given. */
import { type Tensor, tensor } from '../../tensor/tensor.ts'

/** Log-probabilities from rows of logits [R, V], with sums in float64. */
export function logSoftmaxRows({ data, shape }: Tensor): Tensor {
  const width = shape[1] ?? 0
  const result = new Float32Array(data.length)
  for (let start = 0; start < data.length; start += width) {
    const row = data.subarray(start, start + width)
    let largest = Number.NEGATIVE_INFINITY
    for (const logit of row) largest = Math.max(largest, logit)
    let sum = 0
    for (const logit of row) sum += Math.exp(logit - largest)
    const shift = largest + Math.log(sum)
    row.forEach((logit, i) => {
      result[start + i] = logit - shift
    })
  }
  return tensor(result, shape)
}
