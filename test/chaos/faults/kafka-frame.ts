import { FrameSplitter } from './frame-splitter.ts'

/** Numbers of Kafka's protocol. */
export const API_KEYS = {
  produce: 0,
  fetch: 1,
  metadata: 3,
  findCoordinator: 10,
  initProducerId: 22,
} as const

const LENGTH_BYTES = 4
const FLEXIBLE_PRODUCE_VERSION = 9
/** From this version on topics have ids instead of names. */
const PRODUCE_BY_ID_VERSION = 13
const TRANSACTIONAL_VERSION = 3

/** The part of a request that faults choose by. */
export interface KafkaRequest {
  readonly api: number
  readonly version: number
  readonly correlationId: number
  /** Of a Produce request, where its version names them; else empty. */
  readonly topics: readonly string[]
  /** False: a Produce request with acks=0. */
  readonly answered: boolean
}

export function kafkaFrames(): FrameSplitter {
  return new FrameSplitter(start =>
    start.length < LENGTH_BYTES ? undefined : LENGTH_BYTES + start.readInt32BE(0),
  )
}

/** @param frame with its length field */
export function readRequest(frame: Buffer): KafkaRequest {
  const reader = new Reader(frame, LENGTH_BYTES)
  const api = reader.int16()
  const version = reader.int16()
  const correlationId = reader.int32()
  const head = { api, version, correlationId }
  if (api !== API_KEYS.produce) return { ...head, topics: [], answered: true }
  return { ...head, ...readProduce(reader, version) }
}

/** @param frame of an answer, with its length field */
export function readCorrelationId(frame: Buffer): number {
  return frame.readInt32BE(LENGTH_BYTES)
}

function readProduce(reader: Reader, version: number) {
  const flexible = version >= FLEXIBLE_PRODUCE_VERSION
  reader.string(false)
  if (flexible) reader.tags()
  if (version >= TRANSACTIONAL_VERSION) reader.string(flexible)
  const answered = reader.int16() !== 0
  reader.int32()
  const topics: string[] = []
  if (version >= PRODUCE_BY_ID_VERSION) return { topics, answered }
  for (let left = reader.count(flexible); left > 0; left--) {
    topics.push(reader.string(flexible))
    for (let partitions = reader.count(flexible); partitions > 0; partitions--) {
      reader.int32()
      reader.skipBytes(flexible)
      if (flexible) reader.tags()
    }
    if (flexible) reader.tags()
  }
  return { topics, answered }
}

/** Reads Kafka's primitive types; `flexible` is the protocol's word for the compact encoding. */
class Reader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  int16(): number {
    this.#at += 2
    return this.#bytes.readInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  /** Null counts as empty. */
  string(flexible: boolean): string {
    const length = Math.max(0, flexible ? this.#varint() - 1 : this.int16())
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }

  count(flexible: boolean): number {
    return flexible ? this.#varint() - 1 : this.int32()
  }

  skipBytes(flexible: boolean): void {
    // Not `+=`, which would take the place from before the length was read.
    const length = this.count(flexible)
    this.#at += Math.max(0, length)
  }

  tags(): void {
    for (let left = this.#varint(); left > 0; left--) {
      this.#varint()
      const length = this.#varint()
      this.#at += length
    }
  }

  #varint(): number {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#at++)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
}
