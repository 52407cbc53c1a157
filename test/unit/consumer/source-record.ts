import type { SourceRecord } from '../../../src/consumer/message.ts'

/** A record at t/0/7; headers as an object of text. */
export function sourceRecord({
  headers = {},
  ...rest
}: Partial<Omit<SourceRecord, 'headers'>> & {
  headers?: Record<string, string>
} = {}): SourceRecord {
  return {
    topic: 't',
    partition: 0,
    offset: 7n,
    key: Buffer.from('k'),
    value: Buffer.from('{}'),
    timestampMs: 1_700_000_000_000,
    ...rest,
    headers: Object.entries(headers).map(([name, value]) => ({ name, value: Buffer.from(value) })),
  }
}
