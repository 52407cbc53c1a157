import type { SourceRecord } from './message.ts'

/** Makes a record's bytes a value. May throw anything: the message is then bad. */
export interface Codec<T> {
  decode(value: Buffer | null, record: SourceRecord): T
}

/** Where a record's id and type are read. Undefined or '': it has none, and is bad. */
export interface Envelope {
  id(record: SourceRecord): string | undefined
  type(record: SourceRecord): string | undefined
}
