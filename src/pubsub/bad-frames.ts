import type { SourceRecord } from '../consumer/message.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { Log } from '../telemetry/log.ts'
import type { AirCoreFrame } from './air-core-frame.ts'
import { BadFrame } from './bad-frame.ts'
import type { FrameCodec } from './frame-codec.ts'

const TELL_EVERY_MS = 1_000

/** Decodes frames, counts what is none, and tells of it, once a second. */
export class BadFrames {
  readonly #log: Log
  #count = 0
  #toldMs = Number.NEGATIVE_INFINITY

  constructor(log: Log) {
    this.#log = log
  }

  get count(): number {
    return this.#count
  }

  /** @returns null for a record that is no frame */
  decode(record: SourceRecord, codec: FrameCodec): AirCoreFrame | null {
    try {
      if (record.value === null) throw new BadFrame('the record has no value')
      return codec.decode(record.value)
    } catch (error) {
      this.#count++
      this.#tell(record, error)
      return null
    }
  }

  #tell({ topic, partition, offset }: SourceRecord, error: unknown): void {
    if (monotonicMs() - this.#toldMs < TELL_EVERY_MS) return
    this.#toldMs = monotonicMs()
    // The message of another codec's error might quote what it read.
    const reason = error instanceof BadFrame ? error.message : 'the codec threw'
    const facts = { topic, partition, offset: String(offset), reason, so_far: this.#count }
    this.#log.warn(facts, 'a record is no frame, it is passed over')
  }
}
