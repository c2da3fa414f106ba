import { join } from 'node:path'
import { expect, test } from 'vitest'
import ModelsInspect from '../../../src/commands/models/inspect.ts'
import { GOLDEN, temporaryFolder } from '../../support/model-files.ts'
import { runCommand } from '../../support/run-command.ts'

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
    expect.stringMatching(/^ {14}about \d+\.\d MiB more for a forward pass over 400 tokens$/),
    expect.stringMatching(/^ {14}about \d+\.\d MiB more for a gradient through all layers over as many$/),
    expect.stringMatching(/^Fingerprint {3}[0-9a-f]{64}$/),
    '',
    'EDITABLE          IN → OUT  WEIGHT',
    'mlp-down          64 → 32   model.layers.{layer}.mlp.down_proj.weight',
    'mlp-up            32 → 64   model.layers.{layer}.mlp.up_proj.weight',
    'mlp-gate          32 → 64   model.layers.{layer}.mlp.gate_proj.weight',
    'attention-output  32 → 32   model.layers.{layer}.self_attn.o_proj.weight',
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
    editable: [{ role: 'mlp-down', name: 'model.layers.{layer}.mlp.down_proj.weight', shape: [64, 32] }, {}, {}, {}],
  })
})

test('ends with 66 for a model that is not there', async () => {
  const { stdout, exit } = await runCommand(ModelsInspect, ['no-such-model', '--json'], surroundings())
  expect([exit, JSON.parse(stdout).error.code]).toEqual([66, 'E_MODEL_UNKNOWN'])
})
