import { createHash } from 'node:crypto'

/** What the relay must carry to Kafka unchanged. */
export interface Content {
  readonly eventType: string
  readonly headers: Readonly<Record<string, string>>
  /** SHA-256 of the value's bytes in hex; null for a tombstone. */
  readonly payloadSha256: string | null
}

/** SHA-256 in hex; null stays null, because a tombstone is not an empty value. */
export function sha256(bytes: string | Uint8Array | null): string | null {
  return bytes === null ? null : createHash('sha256').update(bytes).digest('hex')
}

/** Equal for equal content, whatever the order of the headers. 22 characters, because a verdict holds one per event. */
export function fingerprintOf({ eventType, headers, payloadSha256 }: Content): string {
  const names = Object.keys(headers).sort()
  const canonical = JSON.stringify([eventType, payloadSha256, names.map(n => [n, headers[n]])])
  return createHash('sha256').update(canonical).digest('base64').slice(0, 22)
}
