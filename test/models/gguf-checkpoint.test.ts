import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { convertOnce } from '../../src/models/convert.ts'
import { type GgufFile, type GgufValue, readGguf } from '../../src/models/gguf.ts'
import { GGUF_ARCHITECTURES } from '../../src/models/gguf-architectures.ts'
import { checkpointOf } from '../../src/models/gguf-checkpoint.ts'
import { openModel } from '../../src/models/index.ts'
import type { Json, JsonObject } from '../../src/models/json.ts'
import { findModel } from '../../src/models/locate.ts'
import { readRotary } from '../../src/models/rotary.ts'
import { readSafetensors } from '../../src/models/safetensors.ts'
import { openTokenizer } from '../../src/models/tokenizer.ts'
import type { ModelFiles } from '../../src/models/weights.ts'
import { expectClose } from '../support/close.ts'
import { GOLDEN, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

interface Model {
  readonly name: string
  readonly config: JsonObject
  /** Shape and the beginning of the sha256 of each tensor. */
  readonly tensors: Readonly<Record<string, readonly [readonly number[], string]>>
  /** After the last of the tokens; null for what is no decoder. */
  readonly logits: readonly number[] | null
}
const golden = JSON.parse(readFileSync(join(GOLDEN, 'gguf-checkpoints.json'), 'utf8')) as {
  tokens: readonly number[]
  models: readonly Model[]
}
const quantized = JSON.parse(readFileSync(join(GOLDEN, 'gguf-llama.json'), 'utf8')) as {
  weights: readonly { name: string; shape: readonly number[]; sha256: string }[]
}
const QUANTIZED = join(GOLDEN, 'tiny-llama.gguf')

const read = (name: string): Promise<GgufFile> => readGguf(join(GOLDEN, 'gguf', `${name}.gguf`))

/** A file that says something else. */
function changed(
  gguf: GgufFile,
  metadata: Readonly<Record<string, GgufValue | undefined>>,
  renames: Readonly<Record<string, string>> = {},
): GgufFile {
  const entries = Object.entries({ ...Object.fromEntries(gguf.metadata), ...metadata })
  const tensors = [...gguf.tensors].map(
    ([name, tensor]) => [renames[name] ?? name, { ...tensor, name: renames[name] ?? name }] as const,
  )
  return {
    file: gguf.file,
    metadata: new Map(entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    tensors: new Map(tensors),
  }
}

/** The files hold float32 numbers. */
function inFloat32(value: Json): Json {
  if (typeof value === 'number') return Number.isInteger(value) ? value : Math.fround(value)
  if (Array.isArray(value)) return value.map(inFloat32)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, inFloat32(entry)]))
}

/** The converted files, with a tokenizer of one word. */
async function convert(name: string): Promise<ModelFiles> {
  const gguf = await read(name)
  const { config, tensors: planned } = await checkpointOf(gguf)
  const ctx = testContext({ cacheDir: temporaryFolder() })
  const tensors = planned.map(({ source, ...place }) => ({ ...source, ...place, file: gguf.file }))
  const common = { name, storedAs: 'F32', config, chatTemplate: null }
  const folder = await convertOnce(name, { ...common, tokenizer: {}, tensors }, ctx)
  const table = await readSafetensors(join(folder, 'model.safetensors'))
  const weights = new Map([...table].map(([tensor, entry]) => [tensor, { ...entry, format: 'F32' as const }]))
  const words: JsonObject = {
    version: '1.0',
    added_tokens: [],
    model: { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' },
  }
  const tokenizer = openTokenizer(words, { file: 'words', endsOfText: [0], vocabulary: 48 })
  return { ...common, fingerprint: name, tokenizer, weights }
}

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('a checkpoint read out of a GGUF file', () => {
  test('is tested for every architecture', async () => {
    const files = await Promise.all(golden.models.map(({ name }) => read(name)))
    const names = files.map(({ metadata }) => String(metadata.get('general.architecture')))
    expect(new Set(names)).toEqual(new Set(Object.keys(GGUF_ARCHITECTURES)))
  })

  test.each(golden.models)(
    'has the numbers of the original, bit for bit: $name',
    async ({ name, tensors: originals }) => {
      const { weights } = await convert(name)
      const found = [...weights].map(([tensor, { file, shape, offset, bytes }]) => {
        return [tensor, [shape, hash(readFileSync(file).subarray(offset, offset + bytes)).slice(0, 16)]]
      })
      expect(Object.fromEntries(found)).toEqual(originals)
    },
  )

  test.each(golden.models.filter(({ logits }) => logits !== null))(
    'says what the original says: $name',
    async ({ name, logits }) => {
      const model = openModel(await convert(name), { threads: 1 })
      try {
        const at = [{ row: 0, token: golden.tokens.length - 1 }]
        const rows = [Int32Array.from(golden.tokens)]
        const { reads } = await model.run({ tokens: { rows }, read: [{ site: 'logits', at }] })
        expectClose(reads[0]?.data, logits ?? [], { absolute: 1e-4 })
      } finally {
        await model.close()
      }
    },
  )

  test.each(golden.models.filter(({ config }) => config.model_type === 't5'))(
    'has the weights that the architecture asks for: $name',
    async ({ name }) => {
      await openModel(await convert(name)).close()
    },
  )

  test.each(golden.models)('has the configuration of the original: $name', async ({ name, config: original }) => {
    const { architectures, rope_parameters: rope = {}, ...config } = (await checkpointOf(await read(name))).config
    const { rope_parameters: originalRope = {}, ...rest } = original
    expect(architectures).toHaveLength(1)
    expect(config).toEqual(inFloat32(rest))
    const { rope_type: kind } = originalRope as JsonObject
    if (kind !== 'llama3')
      expect({ partial_rotary_factor: 1, ...(rope as JsonObject) }).toMatchObject(inFloat32(originalRope) as JsonObject)
  })

  test.each(golden.models.filter(({ config }) => 'head_dim' in config))(
    'turns by the same angles as the original: $name',
    async ({ name, config: original }) => {
      const options = { headWidth: Number(original.head_dim), layerType: 'full_attention' }
      const [expected, found] = [original, (await checkpointOf(await read(name))).config].map((config) =>
        readRotary(config, options),
      )
      const last = (found?.rotary.frequencies.length ?? 0) - 1
      expect(last).toBeGreaterThan(0)
      found?.rotary.frequencies.forEach((frequency, j) => {
        expect(frequency / (expected?.rotary.frequencies[j] ?? 0)).toBeCloseTo(1, 6)
      })
      expect(found?.rotary).toMatchObject({ width: expected?.rotary.width, pairs: expected?.rotary.pairs })
      expect(found?.rotary.magnitude).toBeCloseTo(expected?.rotary.magnitude ?? 0, 6)
    },
  )

  test('has the numbers that transformers reads out of quantised tensors, bit for bit', async () => {
    const model = await findModel(QUANTIZED, testContext(), { hubCache: '' })
    const found = [...model.weights].map(([name, { file, shape, offset, bytes }]) => ({
      name,
      shape,
      sha256: hash(readFileSync(file).subarray(offset, offset + bytes)),
    }))
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
    expect(found.sort(byName)).toEqual([...quantized.weights].sort(byName))
    expect(model.storedAs).toBe('Q4_1')
  })
})

describe('what a file leaves out', () => {
  test.each<[string, Record<string, GgufValue | undefined>, JsonObject]>([
    [
      'llama',
      {
        'llama.rope.freq_base': undefined,
        'llama.attention.head_count_kv': undefined,
        'llama.attention.key_length': undefined,
      },
      { rope_parameters: expect.objectContaining({ rope_theta: 10_000 }), num_key_value_heads: 4, head_dim: 4 },
    ],
    [
      'qwen2',
      { 'qwen2.rope.scaling.type': undefined },
      { rope_parameters: { rope_type: 'linear', factor: 2, rope_theta: 1_000_000 } },
    ],
    ['llama', { 'tokenizer.ggml.eot_token_id': 7, 'tokenizer.ggml.eom_token_id': 2 }, { eos_token_id: [2, 7] }],
    ['llama', { 'tokenizer.ggml.eos_token_id': undefined }, { eos_token_id: null }],
    [
      'gemma2',
      { 'gemma2.attention.sliding_window': undefined, 'gemma2.attn_logit_softcapping': undefined },
      { sliding_window: 4096, attn_logit_softcapping: 50 },
    ],
    ['gemma2', { 'gemma2.block_count': 46 }, { query_pre_attn_scalar: 4 }],
    [
      'gemma3',
      { 'gemma3.attention.sliding_window': undefined },
      { sliding_window: null, layer_types: Array(7).fill('full_attention') },
    ],
    [
      'gemma2',
      { 'gemma2.attention.sliding_window_pattern': [true, false, false] },
      { layer_types: ['sliding_attention', 'full_attention', 'full_attention'] },
    ],
    [
      'gemma3',
      { 'gemma3.attention.sliding_window_pattern': 7 },
      { layer_types: [...Array(6).fill('sliding_attention'), 'full_attention'] },
    ],
    ['t5', { 't5.decoder_block_count': undefined }, { num_decoder_layers: 2 }],
  ])('%s with %o', async (name, metadata, expected) => {
    expect((await checkpointOf(changed(await read(name), metadata))).config).toMatchObject(expected)
  })
})

describe('a GGUF file', () => {
  test.each<[string, string, Record<string, GgufValue | undefined>]>([
    ['llama', 'an architecture that llama.cpp does not write', { 'general.architecture': 'gptj' }],
    ['llama', 'the name of a method as its architecture', { 'general.architecture': 'toString' }],
    ['llama', 'a part of the tensors', { 'split.count': 2 }],
    ['llama', 'no width', { 'llama.embedding_length': undefined }],
    ['llama', 'a width that is text', { 'llama.embedding_length': '32' }],
    ['llama', 'no layers', { 'llama.block_count': 0 }],
    ['llama', 'half a head', { 'llama.attention.head_count': 2.5 }],
    [
      'llama',
      'heads that do not divide the rows of the queries',
      { 'llama.attention.head_count': 5, 'llama.attention.key_length': 4 },
    ],
    ['llama', 'heads that differ between layers', { 'llama.attention.head_count_kv': [2, 2, 1, 1] }],
    ['llama', 'values of another width than keys', { 'llama.attention.value_length': 5 }],
    ['llama', 'heads that turn in part', { 'llama.rope.dimension_count': 2 }],
    ['llama', 'an epsilon that is no number', { 'llama.attention.layer_norm_rms_epsilon': Number.NaN }],
    ['llama', 'attention both ways', { 'llama.attention.causal': false }],
    [
      'llama-biased',
      'stretching as files of 2023 had it',
      { 'llama.rope.scale_linear': 4, 'llama.rope.scaling.type': undefined },
    ],
    ['llama', 'scaled logits', { 'llama.logit_scale': 2 }],
    ['llama', 'a token that is text', { 'tokenizer.ggml.eos_token_id': '</s>' }],
    ['qwen2', 'an unknown stretching', { 'qwen2.rope.scaling.type': 'other' }],
    ['qwen2', 'a stretching that is a number', { 'qwen2.rope.scaling.type': 1 }],
    ['qwen2', 'LongRoPE without its factors', { 'qwen2.rope.scaling.type': 'longrope' }],
    ['llama-biased', 'YaRN of half strength', { 'llama.rope.scaling.yarn_ext_factor': 0.5 }],
    ['gemma3', 'a pattern of windows for other layers', { 'gemma3.attention.sliding_window_pattern': [true] }],
  ])('%s is refused with %s', async (name, _, metadata) => {
    const gguf = changed(await read(name), metadata)
    await expect(checkpointOf(gguf)).rejects.toMatchObject({ code: 'E_GGUF' })
  })

  test.each([
    ['llama', 'token_embd.weight', 'other.weight'],
    ['llama', 'output_norm.weight', 'blk.0.ffn_gate_exps.weight'],
    ['llama', 'output_norm.weight', 'blk.x.attn_q.weight'],
    ['llama', 'output_norm.weight', 'blk.0.attn_q.scale'],
    ['llama', 'output_norm.weight', 'toString.weight'],
    ['llama', 'token_embd.weight', 'rope_freqs.weight'],
    ['llama-biased', 'output_norm.weight', 'rope_freqs.weight'],
    ['gemma', 'output_norm.weight', 'output.weight'],
    ['t5', 'enc.output_norm.weight', 'enc.blk.1.attn_rel_b.weight'],
    ['gpt2', 'blk.0.attn_norm.bias', 'blk.7.attn_qkv.weight'],
  ])('%s is refused with the tensor %s called %s', async (name, from, to) => {
    const gguf = changed(await read(name), {}, { [from]: to })
    await expect(checkpointOf(gguf)).rejects.toMatchObject({ code: 'E_GGUF' })
  })

  test('is refused with more divisors of frequencies than any head has', async () => {
    const gguf = await read('llama')
    const tensor = { name: 'rope_freqs.weight', format: 'F32', shape: [5000], offset: 0, bytes: 20_000 }
    const tensors = new Map([...gguf.tensors, [tensor.name, tensor]])
    await expect(checkpointOf({ ...gguf, tensors })).rejects.toThrow(/up to 4096 numbers/)
  })

  test('is told which architectures there are', async () => {
    const gguf = changed(await read('llama'), { 'general.architecture': 'opt' })
    await expect(checkpointOf(gguf)).rejects.toThrow(/gptneox.*found "opt"/)
  })
})
