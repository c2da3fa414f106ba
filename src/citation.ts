/** A reference to a paper and, where there is one, to its authors' code. */
export interface Citation {
  readonly authors: string
  readonly year: number
  readonly title: string
  /** Where it can be read, usually an arXiv address. */
  readonly url: string
  /** The reference implementation that was read, if any. */
  readonly code?: string
}

/** Writes a citation as one line: `Meng et al. 2022, Locating and Editing Factual Associations in GPT, https://…`. */
export function formatCitation(citation: Citation): string {
  return `${citation.authors} ${citation.year}, ${citation.title}, ${citation.url}`
}
