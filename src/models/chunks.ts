/** Groups items of similar length so that a group, padded to its longest, stays within a number of tokens. */
export function chunksByLength<T>(
  items: readonly T[],
  lengthOf: (item: T) => number,
  limit: number,
): { readonly item: T; readonly index: number }[][] {
  const sorted = items.map((item, index) => ({ item, index })).sort((a, b) => lengthOf(a.item) - lengthOf(b.item))
  const chunks: { item: T; index: number }[][] = []
  for (const entry of sorted) {
    const open = chunks.at(-1)
    if (open !== undefined && lengthOf(entry.item) * (open.length + 1) <= limit) open.push(entry)
    else chunks.push([entry])
  }
  return chunks
}
