// Text for people on a terminal, and JSON that is safe on one.

/** Control characters, line separators, and what turns the direction of writing around. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu
/** As above but for what JSON escapes itself. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** What came from a row or a record, in one line that a terminal shows and does not obey. */
export function plain(text: string): string {
  return text.replace(UNPRINTABLE, ' ')
}

/** As `plain`, but line breaks and tabs stay. */
export function plainLines(text: string): string {
  return text.replace(UNPRINTABLE, found => (found === '\n' || found === '\t' ? found : ' '))
}

/** The beginning of a text, and a sign that there is more. */
export function cut(text: string, lengthMax: number): string {
  return text.length <= lengthMax
    ? text
    : `${text.slice(0, lengthMax - 1).replace(/[\ud800-\udbff]$/, '')}…`
}

/** Pads every column but the last, and keeps control characters away from the terminal. */
export function align(rows: readonly (readonly string[])[]): string {
  const safe = rows.map(row => row.map(plain))
  const widths = (safe[0] ?? []).map((_, column) =>
    Math.max(...safe.map(row => row[column]?.length ?? 0)),
  )
  return safe
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Indented JSON with a line break at its end, in which no control character is left as it is. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, null, 2)
  const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `${text.replace(UNSAFE_IN_JSON, escaped)}\n`
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
] as const

/** `3.2 s`, `4 min 10 s`, `2 d 3 h`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, seconds).toFixed(1)} s`
  const at = UNITS.findIndex(([, size]) => seconds >= size)
  const [unit, size] = UNITS[at] ?? UNITS[2]
  const [lesser, lesserSize] = UNITS[at + 1] ?? (['s', 1] as const)
  const rest = Math.floor((seconds % size) / lesserSize)
  return `${Math.floor(seconds / size)} ${unit}${rest === 0 ? '' : ` ${rest} ${lesser}`}`
}

/** `1 event`, `2,500 events`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`
}
