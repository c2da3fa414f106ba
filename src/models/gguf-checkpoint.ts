/**
 * Makes the model of a GGUF file into what a Hugging Face checkpoint of it would be: the same config keys, the same tensor names,
 * the same numbers in the same places. Counterpart of llama.cpp's convert_hf_to_gguf.py; the architectures are rows of
 * gguf-architectures.ts.
 */
import { open } from 'node:fs/promises'
import { dequantize } from './dequantize.ts'
import { damaged, type GgufFile, type GgufTensor } from './gguf.ts'
import { GGUF_ARCHITECTURES, type GgufArchitecture, type LayerNames, type Undo } from './gguf-architectures.ts'
import { readMetadata } from './gguf-metadata.ts'
import { type JsonObject, shownJson } from './json.ts'
import { readExactly } from './safetensors.ts'

/** A tensor of a GGUF file with its place in the checkpoint, and how it is put back. */
export interface CheckpointTensor extends Undo {
  /** Hugging Face's name. */
  readonly name: string
  readonly source: GgufTensor
}

/** A checkpoint as read out of a GGUF file. */
export interface Checkpoint {
  /** `config.json`. */
  readonly config: JsonObject
  /** In the file's order. */
  readonly tensors: readonly CheckpointTensor[]
}

/** Tensors that hold settings instead of weights: a divisor for each frequency of the rotary embedding. */
const FACTORS = /^rope_(?:freqs|factors_long|factors_short)(?=\.weight$)/
/** Far more than a head has frequencies. */
const MOST_FACTORS = 4096

/**
 * Reads the model's configuration and plans how its tensors are put back.
 * @throws E_GGUF where the architecture is unknown, something is missing, or a variant is used that changes the computation.
 */
export async function checkpointOf(gguf: GgufFile): Promise<Checkpoint> {
  const name = String(gguf.metadata.get('general.architecture'))
  const architecture = Object.hasOwn(GGUF_ARCHITECTURES, name) ? GGUF_ARCHITECTURES[name] : undefined
  if (architecture === undefined) {
    const known = Object.keys(GGUF_ARCHITECTURES).join(', ')
    throw damaged(gguf.file, `an architecture that llama.cpp writes and we can run (${known})`, shownJson(name))
  }
  const pieces = gguf.metadata.get('split.count') ?? 1
  if (pieces !== 1)
    throw damaged(gguf.file, 'a model in one file', `one of ${pieces} (join them: llama-gguf-split --merge)`)
  const read = readMetadata(gguf, name, await readFactors(gguf))
  const config = architecture.config(read)
  const rename = renamer(architecture, architecture.layers(read))
  const tensors = [...gguf.tensors.values()]
    .filter((source) => !FACTORS.test(source.name))
    .map((source) => {
      const place = rename(source.name)
      if (place === undefined) throw damaged(gguf.file, `the tensors of a ${name} model`, shownJson(source.name))
      return { name: place.name, source, ...undo(gguf, architecture, { ...place, source, config }) }
    })
  return { config, tensors }
}

async function readFactors({ file, tensors }: GgufFile): Promise<ReadonlyMap<string, readonly number[]>> {
  const factors = new Map<string, readonly number[]>()
  for (const { name, shape, format, offset, bytes } of tensors.values()) {
    const [key] = FACTORS.exec(name) ?? []
    if (key === undefined) continue
    const [count = 0, ...more] = shape
    if (more.length > 0 || count < 1 || count > MOST_FACTORS) {
      throw damaged(file, `up to ${MOST_FACTORS} numbers in ${name}`, `the shape [${shape.join(', ')}]`)
    }
    const handle = await open(file, 'r')
    try {
      const numbers = [...dequantize(format, await readExactly(handle, file, offset, bytes))]
      if (!numbers.every((number) => number > 0)) throw damaged(file, `positive numbers in ${name}`, `${numbers}`)
      factors.set(key, numbers)
    } finally {
      await handle.close()
    }
  }
  return factors
}

/** Where a tensor of the file belongs. */
interface Place {
  /** Hugging Face's name. */
  readonly name: string
  /** Its name in the file, without the layer and the ending. */
  readonly part: string
  readonly kind: 'weight' | 'bias'
}

function renamer(architecture: GgufArchitecture, layers: readonly LayerNames[]): (name: string) => Place | undefined {
  return (name) => {
    const [, stem = '', ending] = /^(.+)\.(weight|bias)$/.exec(name) ?? []
    if (ending !== 'weight' && ending !== 'bias') return undefined
    const outer = own(architecture.names, stem)
    if (outer !== undefined) return { name: `${outer}.${ending}`, part: stem, kind: ending }
    for (const { prefix, place, names } of layers) {
      if (!stem.startsWith(`${prefix}.`)) continue
      const [, layer, part = ''] = /^(\d+)\.(\w+)$/.exec(stem.slice(prefix.length + 1)) ?? []
      const inner = own(names, part)
      if (inner !== undefined) return { name: `${place}.${layer}.${inner}.${ending}`, part, kind: ending }
    }
    return undefined
  }
}

function own(names: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(names, key) ? names[key] : undefined
}

/** @throws E_GGUF where rows cannot be put back because the heads do not divide them. */
function undo(
  { file }: GgufFile,
  architecture: GgufArchitecture,
  { part, kind, source, config }: Place & { readonly source: GgufTensor; readonly config: JsonObject },
): Undo {
  const rows = source.shape[0] ?? 0
  const how = architecture.undo?.(part, { kind, rows, config }) ?? {}
  if (how.sourceRow !== undefined && !isPermutation(how.sourceRow, rows)) {
    throw damaged(file, `rows of ${source.name} that the heads divide`, `${rows}`)
  }
  if (how.transposed && source.shape.length !== 2) {
    throw damaged(file, `rows and columns of ${source.name}`, `the shape [${source.shape.join(', ')}]`)
  }
  return how
}

function isPermutation(sourceRow: (row: number) => number, rows: number): boolean {
  const seen = new Uint8Array(rows)
  for (let row = 0; row < rows; row++) seen[sourceRow(row)] = 1
  return seen.every((one) => one === 1)
}
