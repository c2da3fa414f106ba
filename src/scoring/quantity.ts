/**
 * Durations and sizes with their units: `250 ms`, `2 h`, `16 GiB`. A closed table read here, not mathjs: its units live in a
 * build that takes most of a second to load, more than a whole ranking may take, and its open grammar would also read
 * `2 h + 3 kg`.
 */

const SECONDS: Readonly<Record<string, number>> = { ms: 1e-3, s: 1, min: 60, h: 3600, d: 86_400 }

const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** What a text that is no duration should have been. */
export const DURATION_FORM = `a duration above 0 with its unit (${Object.keys(SECONDS).join(', ')}), such as 250 ms or 2 h`

/** What a text that is no size should have been. */
export const SIZE_FORM = `a size above 0 with its unit (${Object.keys(BYTES).join(', ')}), such as 16 GiB`

/** Reads a duration as seconds; undefined where it is none. */
export function parseDuration(text: unknown): number | undefined {
  return parseQuantity(text, SECONDS)
}

/** Reads a size as bytes; undefined where it is none. */
export function parseSize(text: unknown): number | undefined {
  return parseQuantity(text, BYTES)
}

function parseQuantity(text: unknown, units: Readonly<Record<string, number>>): number | undefined {
  const match = typeof text === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$/.exec(text) : null
  const unit = match === null ? undefined : units[match[2] ?? '']
  const quantity = unit === undefined ? Number.NaN : Number(match?.[1]) * unit
  return Number.isFinite(quantity) && quantity > 0 ? quantity : undefined
}

/** Writes seconds with the unit that fits: `850 µs`, `12 ms`, `3.4 s`, `12 min`, `2.5 h`, `3 d`. */
export function formatDuration(seconds: number): string {
  const [unit, size] = pick(Math.abs(seconds), [
    ['d', 86_400 * 2],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
    ['ms', 1e-3],
  ]) ?? ['ms', 1e-3]
  return `${round(seconds / (SECONDS[unit] ?? size))} ${unit}`
}

/** Writes bytes with the binary unit that fits: `512 B`, `3.2 GiB`. */
export function formatSize(bytes: number): string {
  const [unit, size] = pick(Math.abs(bytes), [
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ]) ?? ['B', 1]
  return `${round(bytes / size)} ${unit}`
}

function pick(amount: number, units: readonly (readonly [string, number])[]): readonly [string, number] | undefined {
  return units.find(([, least]) => amount >= least)
}

/** Two digits that count below 10, whole numbers above. */
function round(value: number): string {
  const rounded = Math.abs(value) < 10 ? Math.round(value * 10) / 10 : Math.round(value)
  return String(rounded)
}
