import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { GgufFile, GgufValue } from '../../src/models/gguf.ts'
import { readGguf } from '../../src/models/gguf.ts'
import { llamaConfigOf, llamaTensorsOf } from '../../src/models/gguf-llama.ts'
import { findModel } from '../../src/models/locate.ts'
import { GOLDEN } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

const FILE = join(GOLDEN, 'tiny-llama.gguf')
const golden = JSON.parse(readFileSync(join(GOLDEN, 'gguf-llama.json'), 'utf8')) as {
  weights: readonly { name: string; shape: readonly number[]; sha256: string }[]
}

async function changed(
  metadata: Readonly<Record<string, GgufValue | undefined>>,
  renames: Readonly<Record<string, string>> = {},
) {
  const gguf = await readGguf(FILE)
  const entries = Object.entries({ ...Object.fromEntries(gguf.metadata), ...metadata })
  const tensors = [...gguf.tensors].map(
    ([name, tensor]) => [renames[name] ?? name, { ...tensor, name: renames[name] ?? name }] as const,
  )
  return {
    file: gguf.file,
    metadata: new Map(entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    tensors: new Map(tensors),
  } satisfies GgufFile
}

describe('a Llama model in a GGUF file', () => {
  test('converts to the numbers transformers reads out of it, bit for bit', async () => {
    const model = await findModel(FILE, testContext(), { hubCache: '' })
    const read = [...model.weights].map(([name, { file, shape, offset, bytes }]) => {
      const data = readFileSync(file).subarray(offset, offset + bytes)
      return { name, shape, sha256: createHash('sha256').update(data).digest('hex') }
    })
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
    expect(read.sort(byName)).toEqual([...golden.weights].sort(byName))
    expect(model.storedAs).toBe('Q4_1')
  })

  test('has the config of the checkpoint it was made of', async () => {
    const checkpoint = JSON.parse(readFileSync(join(GOLDEN, 'tiny-llama', 'config.json'), 'utf8'))
    const { torch_dtype: _, rms_norm_eps: epsilon, ...rest } = checkpoint
    const config = llamaConfigOf(await readGguf(FILE))
    expect(config).toMatchObject({ ...rest, head_dim: 8 })
    expect(config.rms_norm_eps).toBe(Math.fround(epsilon))
  })

  test('has an own head where the file has one', async () => {
    const config = llamaConfigOf(await changed({}, { 'output_norm.weight': 'output.weight' }))
    expect(config.tie_word_embeddings).toBe(false)
  })

  test('takes the defaults of llama.cpp for what a file leaves out', async () => {
    const config = llamaConfigOf(
      await changed({ 'llama.rope.freq_base': undefined, 'llama.attention.head_count_kv': undefined }),
    )
    expect([config.rope_theta, config.num_key_value_heads]).toEqual([10_000, 4])
  })

  test.each<[string, Record<string, GgufValue | undefined>]>([
    ['another architecture', { 'general.architecture': 'gemma' }],
    ['scaled rotary embeddings', { 'llama.rope.scaling.type': 'yarn' }],
    ['no width', { 'llama.embedding_length': undefined }],
    ['a width that is text', { 'llama.embedding_length': '32' }],
    ['no layers', { 'llama.block_count': 0 }],
    ['half a head', { 'llama.attention.head_count': 2.5 }],
    ['heads that differ between layers', { 'llama.attention.head_count_kv': [2, 2, 1, 1] }],
    ['an epsilon that is no number', { 'llama.attention.layer_norm_rms_epsilon': Number.NaN }],
    ['no token that ends a text', { 'tokenizer.ggml.eos_token_id': undefined }],
  ])('is refused with %s', async (_, metadata) => {
    const gguf = await changed(metadata)
    expect(() => llamaConfigOf(gguf)).toThrow(expect.objectContaining({ code: 'E_GGUF' }))
  })

  test.each([
    ['frequencies of scaled rotary embeddings', { 'output_norm.weight': 'rope_freqs.weight' }],
    ['no embedding', { 'token_embd.weight': 'output.weight' }],
  ])('is refused with %s', async (_, renames) => {
    const gguf = await changed({}, renames)
    expect(() => llamaConfigOf(gguf)).toThrow(expect.objectContaining({ code: 'E_GGUF' }))
  })

  test.each(['blk.0.ffn_gate_exps.weight', 'blk.x.attn_q.weight', 'other.weight'])(
    'is refused with a tensor %s',
    async (name) => {
      const gguf = await changed({}, { 'output_norm.weight': name })
      expect(() => llamaTensorsOf(gguf, llamaConfigOf(gguf))).toThrow(expect.objectContaining({ code: 'E_GGUF' }))
    },
  )

  test('is refused where heads do not divide the rows of the queries', async () => {
    const gguf = await changed({ 'llama.attention.head_count': 5 })
    expect(() => llamaTensorsOf(gguf, llamaConfigOf(gguf))).toThrow(expect.objectContaining({ code: 'E_GGUF' }))
  })
})
