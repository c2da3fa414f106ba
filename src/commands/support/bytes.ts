/** Sizes as people read them: `93.8 MiB`. */

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']

/** Writes a number of bytes in the largest unit that leaves at least one of it. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 2 ** (10 * power)).toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`
}
