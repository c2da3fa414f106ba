import { describe, expect, test } from 'vitest'
import type { Repository } from '../../src/models/hub.ts'
import { chooseFiles, namedFiles } from '../../src/models/hub-files.ts'

/** A repository of these files. */
function holding(...paths: string[]): Repository {
  const checksum = { kind: 'git', digest: '' } as const
  return {
    repository: 'someone/small',
    commit: 'abc',
    files: paths.map((path) => ({ path, bytes: 2 ** 20, checksum })),
  }
}

const chosen = (paths: readonly string[], file?: string) => chooseFiles(holding(...paths), file).map(({ path }) => path)

const INDEX = 'model.safetensors.index.json'
const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']

describe('chooseFiles', () => {
  test.each<[string, string[], string[]]>([
    [
      'what a model needs, and nothing else',
      [
        '.gitattributes',
        'README.md',
        'config.json',
        'generation_config.json',
        'tokenizer.json',
        'tokenizer_config.json',
        'special_tokens_map.json',
        'vocab.json',
        'merges.txt',
        'chat_template.jinja',
        'model.safetensors',
        'pytorch_model.bin',
        'tf_model.h5',
        'onnx/model.onnx',
        'onnx/config.json',
        'modeling_small.py',
        'training_args.bin',
      ],
      [
        'config.json',
        'generation_config.json',
        'tokenizer.json',
        'tokenizer_config.json',
        'special_tokens_map.json',
        'vocab.json',
        'merges.txt',
        'chat_template.jinja',
        'model.safetensors',
      ],
    ],
    ['shards with their index', ['config.json', INDEX, ...SHARDS], ['config.json', INDEX, ...SHARDS]],
    [
      'one file rather than shards',
      ['config.json', 'model.safetensors', INDEX, ...SHARDS],
      ['config.json', 'model.safetensors'],
    ],
    [
      'no second copy of the weights',
      ['config.json', 'consolidated.safetensors', 'model.fp16.safetensors', 'model.safetensors', 'a.gguf'],
      ['config.json', 'model.safetensors'],
    ],
    [
      'how an encoder pools',
      ['1_Pooling/config.json', 'config.json', 'model.safetensors', 'modules.json'],
      ['1_Pooling/config.json', 'config.json', 'modules.json', 'model.safetensors'],
    ],
    ['the only GGUF file, alone', ['README.md', 'config.json', 'small.Q4_0.gguf'], ['small.Q4_0.gguf']],
    ['the only GGUF file in one piece', ['b-00001-of-00002.gguf', 'b-00002-of-00002.gguf', 'a.gguf'], ['a.gguf']],
  ])('takes %s', (_, files, expected) => {
    expect(chosen(files).sort()).toEqual([...expected].sort())
  })

  test('takes the GGUF file that is named, even beside safetensors', () => {
    expect(chosen(['config.json', 'model.safetensors', 'q/a.gguf', 'b.gguf'], 'q/a.gguf')).toEqual(['q/a.gguf'])
  })

  test.each<[string, string[], string | undefined, RegExp]>([
    [
      'only pickles',
      ['config.json', 'pytorch_model.bin'],
      undefined,
      /pytorch_model\.bin, a pickle file: opening one runs any program.*refs\/pr\/1.*save_pretrained/,
    ],
    ['only pickles of another ending', ['consolidated.00.pth'], undefined, /a pickle file/],
    ['a pickle asked for', ['model.safetensors', 'model.pkl'], 'model.pkl', /a pickle file/],
    [
      'several GGUF files',
      ['a.gguf', 'b.gguf'],
      undefined,
      /--file NAME, found 2 GGUF files.*It has a\.gguf \(1 MiB\), b\.gguf \(1 MiB\)\./,
    ],
    ['a GGUF file that is not there', ['a.gguf'], 'c.gguf', /found "c\.gguf"\. It has a\.gguf/],
    ['a name that leads out', ['a.gguf'], '../a.gguf', /found "\.\.\/a\.gguf"/],
    [
      'a file of another kind',
      ['config.json', 'model.safetensors'],
      'config.json',
      /no GGUF file in one piece: leave --file out/,
    ],
    ['shards without their index', ['config.json', ...SHARDS], undefined, /none of them/],
    ['an index without shards', ['config.json', INDEX], undefined, /none of them/],
    ['weights without a configuration', ['model.safetensors'], undefined, /config\.json beside the weights/],
    ['nothing of a model', ['README.md'], undefined, /none of them/],
    ['nothing at all', [], undefined, /none of them/],
  ])('refuses %s', (_, files, file, message) => {
    expect(() => chosen(files, file)).toThrow(
      expect.objectContaining({ code: 'E_HUB_FILES', exit: 2, message: expect.stringMatching(message) }),
    )
  })

  test('names a dozen of many GGUF files', () => {
    const files = Array.from({ length: 30 }, (_, i) => `${i}.gguf`)
    expect(() => chosen(files)).toThrow(/found 30 GGUF files.* 11\.gguf \(1 MiB\), …\.$/)
  })
})

test('namedFiles finds files by their paths', () => {
  expect(namedFiles(holding('a', 'b/c'), ['b/c']).map(({ path }) => path)).toEqual(['b/c'])
  expect(() => namedFiles(holding('a'), ['a', 'b'])).toThrow(expect.objectContaining({ code: 'E_HUB_FILES' }))
})
