/**
 * What ordinary text puts into a layer's feed-forward: activations that an edit must leave alone. Kept in `cacheDir` chunk by
 * chunk, by what determines them: model, layer and text. A job that was stopped goes on after its last chunk.
 */
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import { hashOf } from '../../models/content-hash.ts'
import type { LanguageModel } from '../../models/model.ts'
import { joinRows, type Tensor, tensor } from '../../tensor/tensor.ts'
import { type CalibrationText, openCalibrationText } from './calibration-text.ts'
import { readFloatFile, writeFloatFile } from './float-file.ts'

/** Changes when the activations may change. */
const VERSION = 1

/** The work of {@link readMlpInputs}. */
export interface MlpInputsJob {
  readonly model: LanguageModel
  /** Plain text, or null: text that the model writes. */
  readonly text: readonly string[] | null
  readonly layer: number
  /** About so many tokens of it. */
  readonly tokens: number
}

/**
 * The inputs of a layer's feed-forward over text, a row for each position [M, D]. An encoder-decoder reads the first half of
 * each row and goes on with the second.
 * @throws E_DISK_FULL, E_NOT_WRITABLE where the cache cannot be written.
 */
export async function readMlpInputs({ model, text, layer, tokens }: MlpInputsJob, ctx: Context): Promise<Tensor> {
  const calibration = await openCalibrationText(model, text, tokens, ctx)
  const { width } = model.config
  const chunks: Tensor[] = []
  for (let chunk = 0; chunk < calibration.chunks; chunk++) {
    ctx.signal.throwIfAborted()
    const data = await readChunk(model, layer, calibration, chunk, ctx)
    chunks.push(tensor(data, [data.length / width, width]))
    const task = `stored activations of mlp-input.${layer}`
    ctx.progress({ task, done: chunk + 1, total: calibration.chunks, unit: 'chunks' })
  }
  return joinRows(chunks, width)
}

async function readChunk(
  model: LanguageModel,
  layer: number,
  text: CalibrationText,
  chunk: number,
  ctx: Context,
): Promise<Float32Array> {
  const key = hashOf([VERSION, model.id, layer, text.id, chunk])
  const file = join(ctx.cacheDir, 'mlp-inputs', `${key}.f32`)
  const cached = await readFloatFile(file, model.config.width)
  if (cached !== null) return cached

  const rows = await text.rows(chunk)
  if (rows.length === 0) return new Float32Array()
  const promptLengths = rows.map((row) => Math.ceil(row.length / 2))
  const { reads } = await model.run({
    tokens: { rows, promptLengths },
    read: [{ site: `mlp-input.${layer}`, at: 'all' }],
  })
  const found = reads[0]?.data ?? new Float32Array()
  await writeFloatFile(file, found)
  return found
}
