/** `models inspect`: what a model is made of, where it can be edited, and what memory it takes. */
import { Args } from '@oclif/core'
import { estimateFootprint, type Footprint, PROBED_TOKENS } from '../../models/footprint.ts'
import { openModel } from '../../models/index.ts'
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
    const model = openModel(files)
    try {
      const editable = editableWeights(model, files)
      const footprint = estimateFootprint(model.config, files.weights)
      const lines = describe(files, model.config, footprint)
      this.log(
        formatColumns(
          lines.map((line) => line.map(printable)),
          this.display().columns,
        ),
      )
      const rows = editable.map(({ role, name, shape }) => [role, shape.join(' → '), name].map(printable))
      this.log(`\n${formatColumns([['EDITABLE', 'IN → OUT', 'WEIGHT'], ...rows], this.display().columns)}`)
      const { name, fingerprint, storedAs } = files
      return { schemaVersion: SCHEMA_VERSION, name, fingerprint, storedAs, ...model.config, ...footprint, editable }
    } finally {
      await model.close()
    }
  }
}

function editableWeights(model: LanguageModel, files: ModelFiles): EditableWeight[] {
  return ROLES.map((role) => {
    const first = model.weightName(role, 0)
    const name = first.replace('.0.', '.{layer}.')
    return { role, name, shape: (files.weights.get(first)?.shape ?? []).toReversed() }
  })
}

function describe(files: ModelFiles, config: ModelConfig, footprint: Footprint): string[][] {
  const { parameters, weightsBytes, forwardBytes, gradientBytes } = footprint
  return [
    ['Model', files.name],
    ['Architecture', config.architecture],
    ['Parameters', `${(parameters / 1e6).toFixed(1)} million, stored as ${files.storedAs}, used as F32`],
    ['Layers', `${config.layers}, ${config.width} wide; feed-forward ${config.mlpWidth}`],
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
