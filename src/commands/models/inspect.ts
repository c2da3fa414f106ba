/**
 * `models inspect`: what a model is made of, where it can be edited, and what memory it and each method take. Told from headers
 * and shapes: no weight is loaded or converted.
 */
import { Args } from '@oclif/core'
import { loadHparams } from '../../editors/hparams.ts'
import { estimateMemory, type MemoryEstimate } from '../../evidence/memory-estimate.ts'
import type { Network } from '../../models/architecture.ts'
import { type Footprint, measureWeights, type WeightSize, type WeightsFootprint } from '../../models/footprint.ts'
import { openNetwork } from '../../models/index.ts'
import { kindOf } from '../../models/kind.ts'
import { describeModel, type FoundModel } from '../../models/locate.ts'
import type { ModelConfig, WeightRole } from '../../models/model.ts'
import { encoderOf } from '../../models/sentence-encoder.ts'
import { noticeOf } from '../../models/shipped.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatBytes } from '../support/bytes.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { memoryForModel, readMemoryLimit } from '../support/machine-memory.ts'
import { allMethods } from '../support/methods.ts'
import { modelPlaces } from '../support/places.ts'
import { PROFILE_FLAGS } from '../support/profile-flags.ts'

/** A weight that methods may change, in every layer. */
interface EditableWeight {
  readonly role: WeightRole
  /** Its name, with `{layer}` for the layer. */
  readonly name: string
  /** [in, out] */
  readonly shape: readonly number[]
}

const ROLES: readonly WeightRole[] = [
  'mlp-down',
  'mlp-up',
  'mlp-gate',
  'attention-query',
  'attention-value',
  'attention-output',
]

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

  static override flags = { 'max-memory': PROFILE_FLAGS['max-memory'] }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ModelsInspect)
    const memoryBytes = memoryForModel(readMemoryLimit(flags['max-memory']))
    const found = await describeModel(args.model, this.context(), modelPlaces(), { memoryBytes })
    const kind = kindOf(found.config)
    const details = kind === 'encoder' ? this.#tellEncoder(found) : await this.#tellLanguageModel(found)
    const { name, fingerprint, storedAs, use } = found
    const used = { usedAs: use.usedAs, usedBecause: use.because }
    const notice = noticeOf(found.config)
    return { schemaVersion: SCHEMA_VERSION, name, notice, kind, fingerprint, storedAs, ...used, ...details }
  }

  async #tellLanguageModel(found: FoundModel): Promise<object> {
    const { network, weights } = openNetwork(found.config, found.weights)
    const editable = editableWeights(network, weights)
    const footprint = { config: network.config, ...measureWeights(weights) }
    const methods = await estimateAll(footprint)
    this.#print(describe(found, footprint))
    this.log('')
    const rows = editable.map(({ role, name, shape }) => [role, shape.join(' → '), name])
    this.#print([['EDITABLE', 'IN → OUT', 'WEIGHT'], ...rows])
    this.log('')
    this.#print([['METHOD', 'PREPARE', 'EDIT', 'ASK'], ...methods.map(describeMethod)])
    this.log(
      'Each method with the program, at most, from shapes and published settings; the weights are mapped beside it.',
    )
    const { parameters, weightsBytes } = footprint
    return { ...network.config, parameters, weightsBytes, editable, methods }
  }

  #tellEncoder(found: FoundModel): object {
    const { config } = encoderOf(found.config).open(found.config)
    const { parameters, weightsBytes } = measureWeights(found.weights)
    this.#print(describeEncoder(found, config, { parameters, weightsBytes }))
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

/** What each method takes on a model. */
type NamedEstimate = MemoryEstimate & { readonly name: string }

function estimateAll(footprint: Footprint): Promise<NamedEstimate[]> {
  return Promise.all(
    allMethods().map(async (editor) => {
      const hparams = await loadHparams(editor, footprint.config)
      return { name: editor.name, ...estimateMemory(editor, footprint, hparams) }
    }),
  )
}

function describeMethod({ name, prepareBytes, editBytes, queryBytes }: NamedEstimate): string[] {
  return [name, ...[prepareBytes, editBytes, queryBytes].map(formatBytes)]
}

/** The weights of the first layer that each role has, for all its layers; an encoder-decoder has two kinds of layers. */
function editableWeights(network: Network, weights: ReadonlyMap<string, WeightSize>): EditableWeight[] {
  return [...new Set([0, network.config.encoderLayers])].flatMap((layer) =>
    ROLES.flatMap((role) => {
      const module = network.moduleName(role, layer)
      if (module === undefined) return []
      const name = `${module}.weight`
      const stored = weights.get(name)?.shape ?? []
      const shape = network.stored === 'in-out' ? stored : stored.toReversed()
      return { role, name: name.replace('.0.', '.{layer}.'), shape }
    }),
  )
}

function describe(found: FoundModel, { config, parameters, weightsBytes }: Footprint): string[][] {
  return [
    ['Model', found.name],
    ...describeNotice(found),
    ['Architecture', config.architecture],
    ['Parameters', describeParameters(found, parameters)],
    ['Layers', `${layersOf(config)}, ${config.width} wide; feed-forward ${config.mlpWidth}`],
    ['Attention', `${config.heads} heads of ${config.headWidth}, ${config.kvHeads} for keys and values`],
    [
      'Vocabulary',
      `${config.vocabulary} tokens; ${config.tiedHead ? 'the head is the embedding' : 'the head has its own weight'}`,
    ],
    ['Context', `${config.contextLength} tokens`],
    ['Memory', `${formatBytes(weightsBytes)} of weights, mapped once for all`],
    ['Fingerprint', found.fingerprint],
  ]
}

function describeNotice({ config }: FoundModel): string[][] {
  const notice = noticeOf(config)
  return notice === null ? [] : [['Note', notice]]
}

/** `1100.0 million, stored as BF16, kept as BF16: as F32 they would be 4.1 GiB of 8.0 GiB` */
function describeParameters({ storedAs, use }: FoundModel, parameters: number): string {
  const used = use.because === null ? `used as ${use.usedAs}` : `kept as ${use.usedAs}: ${use.because}`
  return `${(parameters / 1e6).toFixed(1)} million, stored as ${storedAs}, ${used}`
}

function layersOf({ layers, encoderLayers }: ModelConfig): string {
  return encoderLayers === 0
    ? String(layers)
    : `${encoderLayers} of the encoder and ${layers - encoderLayers} of the decoder`
}

function describeEncoder(
  found: FoundModel,
  config: ModelConfig,
  { parameters, weightsBytes }: Pick<WeightsFootprint, 'parameters' | 'weightsBytes'>,
): string[][] {
  return [
    ['Model', found.name],
    ['Architecture', `${config.architecture}, an encoder: it turns sentences into vectors and cannot be edited`],
    ['Parameters', describeParameters(found, parameters)],
    ['Layers', `${config.layers}, ${config.width} wide; feed-forward ${config.mlpWidth}`],
    ['Attention', `${config.heads} heads`],
    ['Vocabulary', `${config.vocabulary} tokens`],
    ['Context', `${config.contextLength} tokens`],
    ['Memory', `${formatBytes(weightsBytes)} of weights`],
    ['Fingerprint', found.fingerprint],
  ]
}
