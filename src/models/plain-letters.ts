/** Texts as they are compared by their letters. */

/** A text as it is compared by letters: small ones and digits, one space between words, no marks. */
export function plainLetters(text: string): string {
  const plain = text.toLowerCase().replaceAll(/[^\p{L}\p{M}\p{N}\s]/gu, '')
  return plain.replaceAll(/\s+/g, ' ').trim()
}
