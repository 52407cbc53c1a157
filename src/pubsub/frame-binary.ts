/**
 * The bytes of a frame, version 1.0. Numbers are big-endian, texts UTF-8 behind their length in bytes.
 *
 * | at | bytes | what |
 * |---|---|---|
 * | 0 | 4 | magic: `ACF` and 0x1a |
 * | 4 | 1 | major version, 1: another one cannot be read |
 * | 5 | 1 | minor version, 0: later ones append fields to the header, which are passed over here |
 * | 6 | 1 | kind: 1 request, 2 reply, 3 event |
 * | 7 | 1 | flags: 1 last, 2 key, 4 correlation id, 8 reply address, 16 error; others are passed over |
 * | 8 | 4 | header length H, from byte 0 to the payload |
 * | 12 | 4 | payload length P; H + P is the whole |
 * | 16 | 4 | CRC-32 (IEEE 802.3, as in zlib) of bytes 0 to 15 and 20 to the end |
 * | 20 | 16 | id |
 * | 36 | 8 | milliseconds since 1970, unsigned |
 * | 44 | 2 + n | type |
 * | | 2 + n | key, with flag 2 |
 * | | 16 | correlation id, with flag 4 |
 * | | 4, 2 + n | partition and topic of the reply, with flag 8 |
 * | | 2 + n, 2 + n | code and message of the error, with flag 16 |
 * | H | P | payload |
 *
 * Kafka has a checksum of its own; this one is for frames that were stored or forwarded by something else.
 */
import { crc32 } from 'node:zlib'
import { BadFrame } from './bad-frame.ts'
import type { FrameFields, FrameKind } from './frame-fields.ts'
import { AT_MAX, PARTITION_MAX } from './frame-fields.ts'

const MAGIC = 0x4143461a
const MAJOR = 1
const MINOR = 0
const CRC_AT = 16
const FIELDS_AT = 20
/** Fixed part, id, time and the length of the type. */
const HEADER_BYTES_MIN = 46
const UUID_BYTES = 16

const FLAGS = { last: 1, key: 2, correlation_id: 4, reply_to: 8, error: 16 } as const
const KIND_CODES: Readonly<Record<FrameKind, number>> = { request: 1, reply: 2, event: 3 }
const KINDS = new Map(Object.entries(KIND_CODES).map(([kind, code]) => [code, kind as FrameKind]))

// A byte order mark is part of the text.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @param frame with fields that were checked */
export function encodeFrame(frame: FrameFields): Buffer {
  const fields = Buffer.concat(fieldsOf(frame))
  const { payload } = frame
  const fixed = Buffer.alloc(FIELDS_AT)
  fixed.writeUInt32BE(MAGIC, 0)
  fixed.writeUInt8(MAJOR, 4)
  fixed.writeUInt8(MINOR, 5)
  fixed.writeUInt8(KIND_CODES[frame.kind], 6)
  fixed.writeUInt8(flagsOf(frame), 7)
  fixed.writeUInt32BE(FIELDS_AT + fields.length, 8)
  fixed.writeUInt32BE(payload.length, 12)
  const bytes = Buffer.concat([fixed, fields, payload])
  bytes.writeUInt32BE(crcOf(bytes), CRC_AT)
  return bytes
}

/** @throws BadFrame, and nothing else, whatever the bytes are */
export function decodeFrame(given: Uint8Array): FrameFields {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
  if (bytes.length < FIELDS_AT) {
    throw new BadFrame(`too short for a frame: ${bytes.length} bytes, ${HEADER_BYTES_MIN} at least`)
  }
  if (bytes.readUInt32BE(0) !== MAGIC) throw new BadFrame('no frame: it begins with other bytes')
  const major = bytes.readUInt8(4)
  if (major !== MAJOR) {
    throw new BadFrame(
      `version ${major}.${bytes.readUInt8(5)} of the frame cannot be read, only ${MAJOR}.x: use a newer version of this package`,
    )
  }
  const headerLength = bytes.readUInt32BE(8)
  const payloadLength = bytes.readUInt32BE(12)
  if (headerLength < HEADER_BYTES_MIN || headerLength + payloadLength !== bytes.length) {
    throw new BadFrame(
      `lengths of the frame do not fit: header ${headerLength} and payload ${payloadLength}, of ${bytes.length} bytes`,
    )
  }
  if (bytes.readUInt32BE(CRC_AT) !== crcOf(bytes)) {
    throw new BadFrame('checksum of the frame does not fit: its bytes were changed')
  }
  return decodeHeader(new HeaderReader(bytes.subarray(0, headerLength)), bytes)
}

function decodeHeader(header: HeaderReader, bytes: Buffer): FrameFields {
  const code = bytes.readUInt8(6)
  const kind = KINDS.get(code)
  if (kind === undefined) throw new BadFrame(`kind ${code} of the frame is unknown`)
  const flags = bytes.readUInt8(7)
  // In the order of the bytes.
  const id = header.uuid('id')
  const at = header.time()
  const type = header.text('type')
  if (type === '') throw new BadFrame('the frame has an empty type')
  const key = flags & FLAGS.key ? header.text('key') : null
  const correlation_id = flags & FLAGS.correlation_id ? header.uuid('correlation id') : null
  const reply_to = flags & FLAGS.reply_to ? header.address() : null
  const error = flags & FLAGS.error ? header.failure() : null
  if (error !== null && kind !== 'reply') {
    throw new BadFrame(`a frame of kind ${kind} has an error, which is for replies`)
  }
  const last = (flags & FLAGS.last) !== 0
  const payload = bytes.subarray(header.length)
  return { id, kind, type, key, correlation_id, reply_to, last, error, at, payload }
}

class HeaderReader {
  readonly #bytes: Buffer
  #at = FIELDS_AT

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get length(): number {
    return this.#bytes.length
  }

  uuid(field: string): string {
    const hex = this.#take(field, UUID_BYTES).toString('hex')
    const part = (from: number, to: number) => hex.slice(from, to)
    return `${part(0, 8)}-${part(8, 12)}-${part(12, 16)}-${part(16, 20)}-${part(20, 32)}`
  }

  time(): number {
    const at = this.#take('time', 8).readBigUInt64BE()
    if (at > BigInt(AT_MAX)) throw new BadFrame('time of the frame is out of range')
    return Number(at)
  }

  text(field: string): string {
    const length = this.#take(field, 2).readUInt16BE()
    try {
      return UTF8.decode(this.#take(field, length))
    } catch (error) {
      if (error instanceof BadFrame) throw error
      throw new BadFrame(`${field} of the frame is not UTF-8 (${length} bytes)`)
    }
  }

  address(): { topic: string; partition: number } {
    const partition = this.#take('reply partition', 4).readUInt32BE()
    if (partition > PARTITION_MAX) throw new BadFrame('reply partition is out of range')
    const topic = this.text('reply topic')
    return { topic, partition }
  }

  failure(): { code: string; message: string } {
    const code = this.text('error code')
    const message = this.text('error message')
    return { code, message }
  }

  #take(field: string, length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) {
      throw new BadFrame(
        `header of the frame ends within its ${field}: ${length} bytes at ${this.#at}, of ${this.#bytes.length}`,
      )
    }
    const part = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return part
  }
}

function fieldsOf(frame: FrameFields): Buffer[] {
  const { id, at, type, key, correlation_id, reply_to, error } = frame
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(BigInt(at))
  const parts = [uuidBytes(id), time, ...textBytes(type)]
  if (key !== null) parts.push(...textBytes(key))
  if (correlation_id !== null) parts.push(uuidBytes(correlation_id))
  if (reply_to !== null) {
    const partition = Buffer.alloc(4)
    partition.writeUInt32BE(reply_to.partition)
    parts.push(partition, ...textBytes(reply_to.topic))
  }
  if (error !== null) parts.push(...textBytes(error.code), ...textBytes(error.message))
  return parts
}

function flagsOf(frame: FrameFields): number {
  let flags = frame.last ? FLAGS.last : 0
  if (frame.key !== null) flags |= FLAGS.key
  if (frame.correlation_id !== null) flags |= FLAGS.correlation_id
  if (frame.reply_to !== null) flags |= FLAGS.reply_to
  if (frame.error !== null) flags |= FLAGS.error
  return flags
}

function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}

function textBytes(text: string): [Buffer, Buffer] {
  const bytes = Buffer.from(text, 'utf8')
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return [length, bytes]
}

function crcOf(bytes: Buffer): number {
  return crc32(bytes.subarray(FIELDS_AT), crc32(bytes.subarray(0, CRC_AT)))
}
