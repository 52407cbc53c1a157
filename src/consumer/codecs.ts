import type { Codec } from './codec.ts'
import { BadMessage } from './outcome.ts'

export interface CodecOptions {
  /** What a record without a value is: a bad message (default), or the value null. */
  readonly tombstone?: 'bad' | 'null'
}

interface WithTombstones extends CodecOptions {
  readonly tombstone: 'null'
}

/**
 * JSON in UTF-8.
 * @param check turns what was parsed into a T, or throws: the message is then bad. Without it anything is taken for a T
 */
export function jsonCodec<T>(
  check: ((value: unknown) => T) | undefined,
  options: WithTombstones,
): Codec<T | null>
export function jsonCodec<T>(check?: (value: unknown) => T, options?: CodecOptions): Codec<T>
export function jsonCodec<T>(
  check: (value: unknown) => T = value => value as T,
  options: CodecOptions = {},
): Codec<T | null> {
  return codecOf(value => check(parsed(textOf(value))), options)
}

/** Text in UTF-8. */
export function textCodec(options: WithTombstones): Codec<string | null>
export function textCodec(options?: CodecOptions): Codec<string>
export function textCodec(options: CodecOptions = {}): Codec<string | null> {
  return codecOf(textOf, options)
}

/** The bytes as they are. */
export function bytesCodec(options: WithTombstones): Codec<Buffer | null>
export function bytesCodec(options?: CodecOptions): Codec<Buffer>
export function bytesCodec(options: CodecOptions = {}): Codec<Buffer | null> {
  return codecOf(value => value, options)
}

function codecOf<T>(decode: (value: Buffer) => T, { tombstone = 'bad' }: CodecOptions) {
  return {
    decode(value: Buffer | null): T | null {
      if (value !== null) return decode(value)
      if (tombstone === 'null') return null
      throw new BadMessage('the record has no value')
    },
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's message quotes what it read.
    throw new BadMessage(`the value is not JSON (${text.length} characters)`)
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })

function textOf(value: Buffer): string {
  try {
    return UTF8.decode(value)
  } catch {
    throw new BadMessage(`the value is not UTF-8 (${value.length} bytes)`)
  }
}
