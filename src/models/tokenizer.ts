/** Text to token ids and back, with the place of each token in the text. The only importer of `tokenizers`. */

/** A text's tokens. */
export interface Encoding {
  readonly ids: Int32Array
  /** [start, end) of each token in the text, in UTF-16 units; a byte-level token's span may hold a leading space. */
  readonly offsets: readonly (readonly [number, number])[]
}

/** A model's tokenizer. Its calls are promises because the library underneath works off the event loop. */
export interface Tokenizer {
  /** Token that ends a text; generation stops there. */
  readonly endOfText: number
  /** Encodes as the model expects a text to begin (with its begin-of-text token, if it has one). */
  encode(text: string): Promise<Encoding>
  /** Encodes a continuation: no begin-of-text token. */
  encodeContinuation(text: string): Promise<Int32Array>
  decode(ids: readonly number[]): Promise<string>
}
