import type { RecordHeader } from '../consumer/message.ts'

/** As `waiting_room.tasks.headers` has it: name and value; a text where the bytes are one that jsonb can hold. */
type StoredText = string | { readonly base64: string }

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Headers as JSON text for `waiting_room.tasks.headers`: `[[name, value]]` in the record's order. A value is a text,
 * `{"base64": "…"}` where its bytes are no UTF-8 or hold a NUL, or null. A name that holds a NUL is written so too.
 */
export function headersToJson(headers: readonly RecordHeader[]): string {
  return JSON.stringify(
    headers.map(({ name, value }) => [storedName(name), value === null ? null : stored(value)]),
  )
}

/**
 * @param json what the column holds, parsed
 * @throws TypeError when it is nothing that `headersToJson` writes
 */
export function headersFromJson(json: unknown): RecordHeader[] {
  if (!Array.isArray(json)) throw new TypeError('headers of a task must be a JSON array')
  return json.map(pair => {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new TypeError('headers of a task must be pairs of a name and a value')
    }
    const [name, value] = pair
    return { name: bytesOf(name).toString('utf8'), value: value === null ? null : bytesOf(value) }
  })
}

/** The bytes as a text that PostgreSQL can hold; null when they are none: no UTF-8, or with a NUL in it. */
export function storableText(bytes: Buffer): string | null {
  if (bytes.includes(0)) return null
  try {
    return UTF8.decode(bytes)
  } catch {
    return null
  }
}

function stored(bytes: Buffer): StoredText {
  return storableText(bytes) ?? { base64: bytes.toString('base64') }
}

function storedName(name: string): StoredText {
  // A lone surrogate has no bytes in UTF-8; it becomes the replacement character, as on the way to Kafka.
  return stored(Buffer.from(name, 'utf8'))
}

function bytesOf(text: unknown): Buffer {
  if (typeof text === 'string') return Buffer.from(text, 'utf8')
  const base64 = (text as { base64?: unknown } | null)?.base64
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64')
  throw new TypeError('a header of a task must be a text or {"base64": …}')
}
