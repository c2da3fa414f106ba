/**
 * The one way to ask a language model (docs/architecture.md). Editors and probes know no session and no ONNX.
 * Shape letters: B rows (prompts), T tokens, D model width, F feed-forward width, V vocabulary, L layers.
 */
import type { Tensor } from '../tensor/tensor.ts'
import type { Factors, Patch, Units } from './patch.ts'
import type { Tokenizer } from './tokenizer.ts'

/** The kinds of places in a layer whose activation can be read or overwritten. */
export type LayerSite =
  | 'block-input' // [D] residual stream before the layer
  | 'attention-output' // [D] output of the attention's output projection
  | 'mlp-input' // [D] normalised input of the feed-forward
  | 'mlp-inner' // [F] input of the down-projection: the "key" of ROME, MEMIT, GRACE
  | 'mlp-output' // [D] output of the down-projection: the "value"
  | 'block-output' // [D] residual stream after the layer

/** A named activation: `mlp-inner.5`, or `logits` [V]. */
export type Site = `${LayerSite}.${number}` | 'logits'

/** One position of one row of a token batch. */
export interface Position {
  readonly row: number
  readonly token: number
}

/** Token ids of several prompts, as rows of their own lengths; padding is the model's business. */
export interface TokenBatch {
  readonly rows: readonly Int32Array[]
  /**
   * How many tokens of each row are the prompt; what follows is an answer being teacher-forced.
   * Codebooks look at the prompt's last token, side memories at all of it. Default: the whole row.
   * An encoder-decoder reads the prompt in its encoder: a position of the prompt is one of the encoder's layers. Its decoder's
   * positions begin with the prompt's last token, from which the answer's first is predicted, as in any other model.
   */
  readonly promptLengths?: readonly number[]
}

/** An activation wanted. */
export interface Read {
  readonly site: Site
  readonly at: 'all' | readonly Position[]
  /**
   * `rows` (default): the activations, one row a position in the order asked [R, ·].
   * `gram`: only XᵀX of those rows [·, ·].  `argmax`: only the index of the largest of each row [R] (as float32).
   * `log-probs`: of logits only, the log-probability of one target a position [R].
   */
  readonly as?: 'rows' | 'gram' | 'argmax' | 'log-probs'
  /** The targets of `log-probs`. */
  readonly targets?: readonly number[]
}

/** Activations replaced or added to. */
export interface Write {
  readonly site: Exclude<Site, 'logits'>
  readonly mode: 'replace' | 'add'
  /** [K, ·] */
  readonly value: Tensor
  /** Where each is written; `index` is the row of `value` (default 0). Positions must differ. */
  readonly at: readonly (Position & { readonly index?: number })[]
}

/** A term of a loss. Terms are summed. */
export type LossTerm =
  | {
      /** Σ weight · −log p(target | tokens up to and including the position). */
      readonly kind: 'nll'
      readonly at: readonly (Position & { readonly target: number; readonly weight: number })[]
    }
  | {
      /** Σ weight · KL(p ‖ reference), p the model's next-token distribution at the position; reference: log-probabilities [R, V]. */
      readonly kind: 'kl'
      readonly at: readonly (Position & { readonly weight: number })[]
      readonly reference: Tensor
      /** Which of the two is averaged over. `model` (default): p, as above.  `reference`: Σ weight · KL(reference ‖ p). */
      readonly under?: 'model' | 'reference'
    }

/**
 * The gradient of a loss for a weight, as the two matrices whose product it is: ∂L/∂W = inputsᵀ · slopes. A row for each
 * position, rows of a batch padded to one length; where nothing that the loss asks for depends on a position, its slopes are 0.
 */
export interface GradientRows {
  /** What the weight is multiplied with [N, in]. */
  readonly inputs: Tensor
  /** The loss's gradient for what that gives [N, out]. */
  readonly slopes: Tensor
}

/**
 * State of an earlier run, from the down-projection of `layer` on: work can be resumed there.
 * Valid only for the same tokens and for models that differ from the captured one at that down-projection or above. That of
 * a single row serves any number of rows with its tokens.
 */
export interface Capture {
  readonly layer: number
  /** First position kept of each row: earlier positions can no longer be changed, only attended to. */
  readonly from: readonly number[]
  /** Owned by the model's implementation. */
  readonly state: unknown
}

/** One question to a model. What is asked decides the graph; all numbers are inputs. */
export interface RunRequest {
  readonly tokens: TokenBatch
  readonly read?: readonly Read[]
  readonly write?: readonly Write[]
  readonly loss?: readonly LossTerm[]
  /**
   * Gradients of the loss: the value of a write, named by its site; one of `weights`, named as in the files; a factor of
   * `lowRank`, named `left <weight>` or `right <weight>`; an array of `neurons`, named `unit-input <layer>`,
   * `unit-biases <layer>` or `unit-output <layer>`.
   */
  readonly gradientOf?: readonly string[]
  /** Weights whose gradient is wanted position by position, named as in the files. */
  readonly gradientRowsOf?: readonly string[]
  /** Weights replaced for this run only [in, out]; gradients may be taken for them. Feeding them costs nothing. */
  readonly weights?: Readonly<Record<string, Tensor>>
  /** Products left · right added to weights for this run only, besides those of patches; gradients may be taken for the factors. */
  readonly lowRank?: Readonly<Record<string, Factors>>
  /** Units added to the feed-forwards of layers for this run only, besides those of patches; gradients may be taken for their arrays. */
  readonly neurons?: Readonly<Record<number, Units>>
  /** Keep the state from the down-projection of a layer on; `from`: first position kept of each row, default 0. */
  readonly capture?: { readonly layer: number; readonly from?: readonly number[] }
  /** Go on from such a state instead of from the tokens. Only sites from its `mlp-inner` on can be asked for. */
  readonly resume?: Capture
}

/** The answers to a {@link RunRequest}, in the order asked. */
export interface RunResult {
  readonly reads: readonly Tensor[]
  /** NaN-free; present when a loss was asked for. */
  readonly loss?: number
  /** The value of each loss term. */
  readonly lossTerms: readonly number[]
  readonly gradients: Readonly<Record<string, Tensor>>
  /** Of the weights of `gradientRowsOf`. */
  readonly gradientRows: Readonly<Record<string, GradientRows>>
  readonly capture?: Capture
}

/** What the tokens of one target got when the model was led along it (teacher forcing). */
export interface TargetScore {
  readonly ids: readonly number[]
  /** Natural logarithms, one a target token. */
  readonly logProbs: readonly number[]
  /** What the model itself would have said at each place. */
  readonly argmax: readonly number[]
}

/** A prompt and a target whose tokens are to be scored. */
export interface ScoreQuery {
  readonly prompt: string
  readonly target: string
}

/** Settings of generation. Greedy unless `topK` is given. */
export interface GenerateOptions {
  readonly maxNewTokens: number
  /** Sample among the k likeliest, with their probabilities renormalised. */
  readonly topK?: number
  /** Uniform numbers in [0, 1) for sampling; required with `topK`. */
  readonly uniform?: () => number
  /** Stop a row after the token that completes one of these. The end-of-text token always stops. */
  readonly stop?: readonly string[]
  readonly signal?: AbortSignal
}

/** What a model wrote after a prompt. */
export interface Generation {
  /** The new tokens, the one that ends the text aside. */
  readonly ids: readonly number[]
  /** The new text only. */
  readonly text: string
  /** A memory was to have it answered in steps, and they failed: it was asked as it is. */
  readonly loopFailed?: true
}

/** What is known of a model without running it. */
export interface ModelConfig {
  /** Name of the architecture file: `llama`. */
  readonly architecture: string
  /** All layers; an encoder-decoder's encoder has the first of them. */
  readonly layers: number
  /** Layers of the encoder; 0 in a decoder-only model. */
  readonly encoderLayers: number
  readonly width: number
  readonly mlpWidth: number
  readonly heads: number
  readonly kvHeads: number
  readonly headWidth: number
  readonly vocabulary: number
  readonly contextLength: number
  readonly tiedHead: boolean
}

/**
 * The editable weights of a layer, by role. Where one projection makes queries, keys and values, it has the roles of all
 * of them. An encoder-decoder's roles of attention are those within each stack.
 */
export type WeightRole = 'mlp-down' | 'mlp-up' | 'mlp-gate' | 'attention-query' | 'attention-value' | 'attention-output'

/** What turns sentences into vectors by which related ones are found. */
export interface SentenceEncoder {
  /** What a person calls it: `minilm`. */
  readonly name: string
  /** Hash of what determines the vectors. */
  readonly id: string
  /** D */
  readonly width: number
  /** A row of length one for each text [R, D]. */
  vectors(texts: readonly string[]): Promise<Tensor>
}

/** A language model, edited or not. */
export interface LanguageModel {
  /** Hash of weights, configuration, tokenizer and patches. */
  readonly id: string
  /** What a person calls it. */
  readonly name: string
  /** What is to be said with every result of it; null: nothing. */
  readonly notice: string | null
  readonly config: ModelConfig
  readonly tokenizer: Tokenizer
  /** What finds related sentences; null: the model's own hidden states do. */
  readonly encoder: SentenceEncoder | null
  /** The patches on it, in order; none on the unedited model. */
  readonly patches: readonly Patch[]
  run(request: RunRequest): Promise<RunResult>
  /** Log-probabilities of targets after prompts; `" "` is put between the two unless the target brings its own. */
  score(queries: readonly ScoreQuery[]): Promise<TargetScore[]>
  generate(prompts: readonly string[], options: GenerateOptions): Promise<Generation[]>
  /** The vectors that tokens are embedded as, before anything is added for their positions [N, D]. */
  tokenVectors(ids: readonly number[]): Promise<Tensor>
  /** A weight with the patches applied, [in, out]. Reads the file; not for hot loops. */
  weight(name: string): Promise<Tensor>
  /** A weight's shape [in, out], without reading it. */
  weightShape(name: string): readonly [number, number]
  /** The name of a layer's weight in the model's files. @throws E_SITE for a layer or role the model lacks. */
  weightName(role: WeightRole, layer: number): string
  /** Whether a layer has a weight of this role. */
  hasWeight(role: WeightRole, layer: number): boolean
  /** The same model with more patches; shares everything with this one. */
  withPatch(patch: Patch): LanguageModel
}
