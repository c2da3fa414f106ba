import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import ModelsInspect from '../../../src/commands/models/inspect.ts'
import { EDITORS } from '../../../src/editors/index.ts'
import { loadModel } from '../../../src/models/index.ts'
import { kindOf } from '../../../src/models/kind.ts'
import { GOLDEN, put, safetensorsBytes, temporaryFolder } from '../../support/model-files.ts'
import { runCommand } from '../../support/run-command.ts'
import { testContext } from '../../support/tiny-model.ts'

const surroundings = () => ({ env: { XDG_CACHE_HOME: temporaryFolder(), COLUMNS: '120' } })

test('shows what a model is made of', async () => {
  const { stdout, exit } = await runCommand(ModelsInspect, [join(GOLDEN, 'tiny-llama.gguf')], surroundings())
  expect(exit).toBe(0)
  expect(stdout.split('\n').map((line) => line.trimEnd())).toEqual([
    'Model         tiny-llama',
    'Architecture  llama',
    'Parameters    0.1 million, stored as Q4_1, used as F32',
    'Layers        4, 32 wide; feed-forward 64',
    'Attention     4 heads of 8, 2 for keys and values',
    'Vocabulary    448 tokens; the head is the embedding',
    'Context       512 tokens',
    'Memory        201.1 KiB of weights, mapped once for all',
    expect.stringMatching(/^Fingerprint {3}[0-9a-f]{64}$/),
    '',
    'EDITABLE          IN → OUT  WEIGHT',
    'mlp-down          64 → 32   model.layers.{layer}.mlp.down_proj.weight',
    'mlp-up            32 → 64   model.layers.{layer}.mlp.up_proj.weight',
    'mlp-gate          32 → 64   model.layers.{layer}.mlp.gate_proj.weight',
    'attention-query   32 → 32   model.layers.{layer}.self_attn.q_proj.weight',
    'attention-value   32 → 16   model.layers.{layer}.self_attn.v_proj.weight',
    'attention-output  32 → 32   model.layers.{layer}.self_attn.o_proj.weight',
    '',
    expect.stringMatching(/^METHOD +PREPARE +EDIT +ASK$/),
    ...Object.keys(EDITORS).map((name) =>
      expect.stringMatching(new RegExp(`^${name} +\\d+\\.\\d MiB +\\d+\\.\\d MiB +\\d+\\.\\d MiB$`)),
    ),
    'Each method with the program, at most, from shapes and published settings; the weights are mapped beside it.',
    '',
  ])
})

test('gives the same as JSON', async () => {
  const { stdout } = await runCommand(ModelsInspect, [join(GOLDEN, 'tiny-llama'), '--json'], surroundings())
  expect(JSON.parse(stdout)).toMatchObject({
    schemaVersion: 1,
    name: 'tiny-llama',
    storedAs: 'F32',
    architecture: 'llama',
    layers: 4,
    width: 32,
    parameters: 51_488,
    weightsBytes: 205_952,
    usedAs: 'F32',
    usedBecause: null,
    methods: Object.keys(EDITORS).map((name) => ({ name })),
    editable: [
      { role: 'mlp-down', name: 'model.layers.{layer}.mlp.down_proj.weight', shape: [64, 32] },
      {},
      {},
      {},
      {},
      {},
    ],
  })
})

test('converts nothing, and says why weights stay in 16 bits', async () => {
  const folder = join(GOLDEN, 'tiny-llama-untied')
  const inspect = (env: Record<string, string>, ...more: string[]) => {
    const around = surroundings()
    return runCommand(ModelsInspect, [folder, ...more], { env: { ...around.env, ...env } })
  }
  const plain = surroundings()
  const { stdout } = await runCommand(ModelsInspect, [folder], plain)
  expect(stdout).toMatch(/^Parameters +0\.1 million, stored as BF16, used as F32$/m)
  expect(readdirSync(join(plain.env.XDG_CACHE_HOME, 'whichedit'))).toEqual(['hashes'])
  const kept = /^Parameters +0\.1 million, stored as BF16, kept as BF16: as F32 they would be \S+ GiB of \S+ GiB$/m
  expect((await inspect({}, '--max-memory', '1 kB')).stdout).toMatch(kept)
  expect((await inspect({ WHICHEDIT_MAX_MEMORY: '1 kB' })).stdout).toMatch(kept)
  const wrong = await inspect({}, '--max-memory', 'much', '--json')
  expect([wrong.exit, JSON.parse(wrong.stdout).error.code]).toEqual([2, 'E_MAX_MEMORY'])
})

test('ends with 66 for a model that is not there', async () => {
  const { stdout, exit } = await runCommand(ModelsInspect, ['no-such-model', '--json'], surroundings())
  expect([exit, JSON.parse(stdout).error.code]).toEqual([66, 'E_MODEL_UNKNOWN'])
})

test('names the layers of an encoder-decoder apart, and no role that they lack', async () => {
  const { stdout, exit } = await runCommand(ModelsInspect, [join(GOLDEN, 'tiny-t5')], surroundings())
  expect(exit).toBe(0)
  expect(stdout).toMatch(/^Layers +2 of the encoder and 2 of the decoder, 24 wide/m)
  expect(stdout.slice(stdout.indexOf('EDITABLE'), stdout.indexOf('METHOD')).split('\n')).toEqual([
    'EDITABLE          IN → OUT  WEIGHT',
    'mlp-down          36 → 24   encoder.block.{layer}.layer.1.DenseReluDense.wo.weight',
    'mlp-up            24 → 36   encoder.block.{layer}.layer.1.DenseReluDense.wi.weight',
    'attention-query   24 → 24   encoder.block.{layer}.layer.0.SelfAttention.q.weight',
    'attention-value   24 → 24   encoder.block.{layer}.layer.0.SelfAttention.v.weight',
    'attention-output  24 → 24   encoder.block.{layer}.layer.0.SelfAttention.o.weight',
    'mlp-down          36 → 24   decoder.block.{layer}.layer.2.DenseReluDense.wo.weight',
    'mlp-up            24 → 36   decoder.block.{layer}.layer.2.DenseReluDense.wi.weight',
    'attention-query   24 → 24   decoder.block.{layer}.layer.0.SelfAttention.q.weight',
    'attention-value   24 → 24   decoder.block.{layer}.layer.0.SelfAttention.v.weight',
    'attention-output  24 → 24   decoder.block.{layer}.layer.0.SelfAttention.o.weight',
    '',
    '',
  ])
})

const CHECKPOINTS = readdirSync(GOLDEN, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(join(GOLDEN, entry.name, 'config.json')))
  .map(({ name }) => name)
  .filter((name) => kindOf(JSON.parse(readFileSync(join(GOLDEN, name, 'config.json'), 'utf8'))) === 'language-model')

test.each(CHECKPOINTS)('tells the shapes of weights as they are: %s', async (name) => {
  const around = surroundings()
  const { stdout } = await runCommand(ModelsInspect, [join(GOLDEN, name), '--json'], around)
  const told: { name: string; shape: number[] }[] = JSON.parse(stdout).editable
  const ctx = testContext({ cacheDir: around.env.XDG_CACHE_HOME })
  const model = await loadModel(join(GOLDEN, name), { hubCache: '' }, ctx)
  for (const weight of told) {
    expect((await model.weight(weight.name.replace('{layer}', '0'))).shape).toEqual(weight.shape)
  }
  expect(told.length).toBeGreaterThan(1)
  await model.close()
})

test('tells of an encoder that it cannot be edited', async () => {
  const folder = temporaryFolder()
  const config = {
    model_type: 'bert',
    num_hidden_layers: 2,
    hidden_size: 4,
    intermediate_size: 8,
    num_attention_heads: 2,
    vocab_size: 3,
    max_position_embeddings: 16,
    pad_token_id: 0,
  }
  put(folder, 'config.json', JSON.stringify(config))
  put(
    folder,
    'tokenizer.json',
    JSON.stringify({
      model: {
        type: 'WordPiece',
        unk_token: 'a',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: { a: 0, b: 1, c: 2 },
      },
    }),
  )
  const header = { 'embeddings.word_embeddings.weight': { dtype: 'F32', shape: [3, 4], data_offsets: [0, 48] } }
  put(folder, 'model.safetensors', safetensorsBytes(header, Buffer.alloc(48)))
  const told = await runCommand(ModelsInspect, [folder], surroundings())
  expect([told.exit, told.stdout]).toEqual([
    0,
    expect.stringMatching(/^Architecture +bert, an encoder: .* cannot be edited$/m),
  ])
  const { stdout } = await runCommand(ModelsInspect, [folder, '--json'], surroundings())
  expect(JSON.parse(stdout)).toMatchObject({
    kind: 'encoder',
    architecture: 'bert',
    layers: 2,
    width: 4,
    heads: 2,
    vocabulary: 3,
    contextLength: 16,
    parameters: 12,
    weightsBytes: 48,
  })
})
