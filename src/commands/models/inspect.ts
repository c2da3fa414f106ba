/** `models inspect`: what a model is made of, where it can be edited, and what memory it takes. */
import { Args } from '@oclif/core'
import { WhicheditError } from '../../errors.ts'
import { estimateFootprint, type Footprint, PROBED_TOKENS } from '../../models/footprint.ts'
import { openModel } from '../../models/index.ts'
import { type EncoderConfig, kindOf, readEncoderConfig } from '../../models/kind.ts'
import { findModel } from '../../models/locate.ts'
import type { LanguageModel, ModelConfig, WeightRole } from '../../models/model.ts'
import type { ModelFiles } from '../../models/weights.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatBytes } from '../support/bytes.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { modelPlaces } from '../support/places.ts'

/** A weight that methods may change, in every layer. */
interface EditableWeight {
  readonly role: WeightRole
  /** Its name, with `{layer}` for the layer. */
  readonly name: string
  /** [in, out] */
  readonly shape: readonly number[]
}

const ROLES: readonly WeightRole[] = ['mlp-down', 'mlp-up', 'mlp-gate', 'attention-output']

/** Inspects a model. */
export default class ModelsInspect extends BaseCommand {
  static override summary = 'Show what a model is made of, where it can be edited, and what memory it takes.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> smollm2-135m',
    '<%= config.bin %> <%= command.id %> ./my-model --json',
  ]
  static override args = {
    model: Args.string({
      required: true,
      description: 'a name, a folder, a GGUF file or <owner>/<name> in the Hugging Face cache',
    }),
  }

  async run(): Promise<object> {
    const { args } = await this.parse(ModelsInspect)
    const files = await findModel(args.model, this.context(), modelPlaces())
    const kind = kindOf(files.config)
    const details = kind === 'encoder' ? this.#tellEncoder(files) : await this.#tellLanguageModel(files)
    const { name, fingerprint, storedAs } = files
    return { schemaVersion: SCHEMA_VERSION, name, kind, fingerprint, storedAs, ...details }
  }

  async #tellLanguageModel(files: ModelFiles): Promise<object> {
    const model = openModel(files)
    try {
      const editable = editableWeights(model, files)
      const footprint = estimateFootprint(model.config, files.weights)
      this.#print(describe(files, model.config, footprint))
      const rows = editable.map(({ role, name, shape }) => [role, shape.join(' → '), name])
      this.log('')
      this.#print([['EDITABLE', 'IN → OUT', 'WEIGHT'], ...rows])
      return { ...model.config, ...footprint, editable }
    } finally {
      await model.close()
    }
  }

  #tellEncoder(files: ModelFiles): object {
    const config = readEncoderConfig(files.config)
    const weightsBytes = [...files.weights.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    const parameters = weightsBytes / Float32Array.BYTES_PER_ELEMENT
    this.#print(describeEncoder(files, config, { parameters, weightsBytes }))
    return { ...config, parameters, weightsBytes }
  }

  #print(rows: readonly (readonly string[])[]): void {
    this.log(
      formatColumns(
        rows.map((row) => row.map(printable)),
        this.display().columns,
      ),
    )
  }
}

/** The weights of the first layer that each role has, for all its layers; an encoder-decoder has two kinds of layers. */
function editableWeights(model: LanguageModel, files: ModelFiles): EditableWeight[] {
  return [...new Set([0, model.config.encoderLayers])].flatMap((layer) =>
    ROLES.flatMap((role) => {
      const first = nameOf(model, role, layer)
      if (first === undefined) return []
      return {
        role,
        name: first.replace('.0.', '.{layer}.'),
        shape: shapeOf(first, widthInto(role, model.config), files),
      }
    }),
  )
}

function widthInto(role: WeightRole, { width, mlpWidth, heads, headWidth }: ModelConfig): number {
  if (role === 'mlp-down') return mlpWidth
  return role === 'attention-output' ? heads * headWidth : width
}

/** A weight's shape [in, out], whichever way round it is stored. */
function shapeOf(name: string, into: number, { weights }: ModelFiles): readonly number[] {
  // A checkpoint of the bare model leaves the beginning of names out.
  const stored = weights.get(name) ?? [...weights].find(([key]) => name.endsWith(`.${key}`))?.[1]
  const shape = stored?.shape ?? []
  return shape[0] === into ? shape : shape.toReversed()
}

/** A weight's name; undefined for a role that the model's layers lack. */
function nameOf(model: LanguageModel, role: WeightRole, layer: number): string | undefined {
  try {
    return model.weightName(role, layer)
  } catch (error) {
    if (error instanceof WhicheditError && error.code === 'E_SITE') return undefined
    throw error
  }
}

function describe(files: ModelFiles, config: ModelConfig, footprint: Footprint): string[][] {
  const { parameters, weightsBytes, forwardBytes, gradientBytes } = footprint
  return [
    ['Model', files.name],
    ['Architecture', config.architecture],
    ['Parameters', `${(parameters / 1e6).toFixed(1)} million, stored as ${files.storedAs}, used as F32`],
    ['Layers', `${layersOf(config)}, ${config.width} wide; feed-forward ${config.mlpWidth}`],
    ['Attention', `${config.heads} heads of ${config.headWidth}, ${config.kvHeads} for keys and values`],
    [
      'Vocabulary',
      `${config.vocabulary} tokens; ${config.tiedHead ? 'the head is the embedding' : 'the head has its own weight'}`,
    ],
    ['Context', `${config.contextLength} tokens`],
    ['Memory', `${formatBytes(weightsBytes)} of weights, mapped once for all`],
    ['', `about ${formatBytes(forwardBytes)} more for a forward pass over ${PROBED_TOKENS} tokens`],
    ['', `about ${formatBytes(gradientBytes)} more for a gradient through all layers over as many`],
    ['Fingerprint', files.fingerprint],
  ]
}

function layersOf({ layers, encoderLayers }: ModelConfig): string {
  return encoderLayers === 0
    ? String(layers)
    : `${encoderLayers} of the encoder and ${layers - encoderLayers} of the decoder`
}

function describeEncoder(
  files: ModelFiles,
  config: EncoderConfig,
  { parameters, weightsBytes }: Pick<Footprint, 'parameters' | 'weightsBytes'>,
): string[][] {
  return [
    ['Model', files.name],
    ['Architecture', `${config.architecture}, an encoder: it turns sentences into vectors and cannot be edited`],
    ['Parameters', `${(parameters / 1e6).toFixed(1)} million, stored as ${files.storedAs}, used as F32`],
    ['Layers', `${config.layers}, ${config.width} wide; feed-forward ${config.mlpWidth}`],
    ['Attention', `${config.heads} heads`],
    ['Vocabulary', `${config.vocabulary} tokens`],
    ['Context', `${config.contextLength} tokens`],
    ['Memory', `${formatBytes(weightsBytes)} of weights`],
    ['Fingerprint', files.fingerprint],
  ]
}
