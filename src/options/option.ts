import { integer, type Parse } from './parsers.ts'

export interface Option<T = unknown> {
  readonly section: 'PostgreSQL' | 'Kafka' | 'Relay' | 'Operation' | 'Admission'
  /** Environment names: the one that is printed, then its aliases. */
  readonly names: readonly [string, ...string[]]
  readonly parse: Parse<T>
  /** The text that is parsed when none is given; null: absent, or worked out from others. */
  readonly fallback: string | null
  /** What to print as the default instead of `fallback`. */
  readonly fallbackNote?: string
  readonly min?: number
  readonly max?: number
  /** Never shown; `<NAME>_FILE` may name a file that holds it. */
  readonly secret?: true
  /** What it is, and what too low and too high do. */
  readonly doc: string
}

export function option<T>(given: Option<T>): Option<T> {
  return given
}

export function count(
  name: string,
  [fallback, min, max]: readonly [number | null, number, number],
  doc: string,
  section: Option['section'] = 'Relay',
): Option<number> {
  const parse = integer(min, max)
  const text = fallback === null ? null : String(fallback)
  return { section, names: [name], parse, fallback: text, min, max, doc }
}
