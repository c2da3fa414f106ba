/**
 * Chooses which files of a repository a model needs: its configuration, its tokenizer and its weights, as safetensors or as one GGUF
 * file. Pickle files are never taken: opening one runs whatever program its author put into it.
 */
import { WhicheditError } from '../errors.ts'
import type { RemoteFile, Repository } from './hub.ts'

/** Everything but the weights, at the top of a repository. */
const TEXTS: ReadonlySet<string> = new Set([
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
  'tokenizer.model',
  'spiece.model',
  'sentencepiece.bpe.model',
  'chat_template.jinja',
  'chat_template.json',
  // How a sentence encoder makes one vector of many.
  'modules.json',
  'sentence_bert_config.json',
  '1_Pooling/config.json',
])

const WHOLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'
const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/
const GGUF = /\.gguf$/
/** A GGUF file cut into several. */
const GGUF_PIECE = /-\d{5}-of-\d{5}\.gguf$/
const PICKLE = /\.(?:bin|pt|pth|pkl|ckpt)$/
const MAX_NAMED = 12

/**
 * Chooses the files that are needed, or just the GGUF file named.
 * @throws E_HUB_FILES where the repository has no weights that can be read, or several to choose from.
 */
export function chooseFiles(repository: Repository, file?: string): readonly RemoteFile[] {
  if (file !== undefined) return [namedGguf(repository, file)]
  const texts = repository.files.filter(({ path }) => TEXTS.has(path))
  const weights = safetensorsOf(repository)
  if (weights.length === 0) return [onlyGguf(repository)]
  if (!texts.some(({ path }) => path === 'config.json')) {
    throw filesError(repository, 'config.json beside the weights', 'none', 'Is it a model of the transformers library?')
  }
  return [...texts, ...weights]
}

/**
 * Finds files by their paths.
 * @throws E_HUB_FILES where one is not there.
 */
export function namedFiles(repository: Repository, paths: readonly string[]): readonly RemoteFile[] {
  return paths.map((path) => {
    const found = repository.files.find((file) => file.path === path)
    if (found === undefined) throw filesError(repository, path, 'no such file', 'Try another revision.')
    return found
  })
}

function safetensorsOf({ files }: Repository): RemoteFile[] {
  const whole = files.filter(({ path }) => path === WHOLE)
  if (whole.length > 0) return whole
  const shards = files.filter(({ path }) => SHARD.test(path))
  const index = files.filter(({ path }) => path === INDEX)
  return shards.length > 0 && index.length > 0 ? [...index, ...shards] : []
}

function namedGguf(repository: Repository, file: string): RemoteFile {
  if (PICKLE.test(file)) throw pickleError(repository, file)
  const found = repository.files.find(({ path }) => path === file)
  if (found !== undefined && GGUF.test(file)) return found
  const expected = '--file with the path of a .gguf file'
  throw filesError(repository, expected, JSON.stringify(file), describeGgufs(repository))
}

function onlyGguf(repository: Repository): RemoteFile {
  const [only, ...more] = ggufsOf(repository)
  if (only !== undefined && more.length === 0) return only
  if (only !== undefined) {
    throw filesError(
      repository,
      '--file NAME',
      `${more.length + 1} GGUF files to choose from`,
      describeGgufs(repository),
    )
  }
  const pickle = repository.files.find(({ path }) => PICKLE.test(path))
  if (pickle !== undefined) throw pickleError(repository, pickle.path)
  const advice = 'Is it a language model of the transformers library? Adapters and other kinds cannot be used.'
  throw filesError(repository, `${WHOLE}, ${INDEX} with its shards, or a .gguf file`, 'none of them', advice)
}

function ggufsOf({ files }: Repository): RemoteFile[] {
  return files.filter(({ path }) => GGUF.test(path) && !GGUF_PIECE.test(path))
}

function describeGgufs(repository: Repository): string {
  const ggufs = ggufsOf(repository)
  if (ggufs.length === 0) return 'It has no GGUF file in one piece: leave --file out.'
  const named = ggufs.slice(0, MAX_NAMED).map(({ path, bytes }) => `${path} (${Math.ceil(bytes / 2 ** 20)} MiB)`)
  return `It has ${named.join(', ')}${ggufs.length > MAX_NAMED ? ', …' : ''}.`
}

function pickleError(repository: Repository, file: string): WhicheditError {
  const found = `${file}, a pickle file: opening one runs any program its author put into it, so whichedit opens none`
  const advice =
    'Try --revision refs/pr/1, where the hub often keeps a converted copy, or another repository of the same model; or convert it where you trust it (transformers: save_pretrained with safe_serialization) and give the folder as --model.'
  return filesError(repository, 'weights as safetensors or GGUF', found, advice)
}

function filesError({ repository }: Repository, expected: string, found: string, advice: string): WhicheditError {
  return new WhicheditError('E_HUB_FILES', { repository, expected, found, advice })
}
