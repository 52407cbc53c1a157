/**
 * Batches and outcomes as they cross to a worker thread and back: a few arrays instead of many objects, and all
 * payloads in one buffer that is moved, not copied.
 */
import type { OutboxEvent } from '../outbox/event.ts'
import { type ClusterView, NOTHING_KNOWN } from './cluster-view.ts'
import type { Outcome, Rejected, Unknown } from './producer.ts'

/** A null payload's end in `BatchMessage.payloadEnds`. */
const NO_PAYLOAD = -1

export interface BatchMessage {
  /** Monotonic deadline, shared by all threads. */
  readonly untilMs: number
  /** The cluster that the events are for, and what other threads have learnt of their topics. */
  readonly known: ClusterView
  readonly lanes: number[]
  readonly ids: string[]
  readonly eventIds: string[]
  readonly topics: string[]
  readonly keys: (string | null)[]
  readonly eventTypes: string[]
  readonly headersJson: string[]
  readonly payloads: ArrayBuffer
  /** Where each payload ends in `payloads`, −1 for a tombstone; it begins where the last one ended. */
  readonly payloadEnds: number[]
}

export interface OutcomesMessage {
  /** Per event: −1 for acked, else the index of its fault. */
  readonly faultOf: number[]
  readonly partitions: number[]
  readonly offsets: string[]
  readonly faults: (Rejected | Unknown)[]
}

/** A batch's outcomes and what the thread has seen of the cluster. */
export interface AnswerMessage {
  readonly outcomes: OutcomesMessage
  readonly view: ClusterView
}

export function encodeBatch(
  events: readonly OutboxEvent[],
  untilMs: number,
  known: ClusterView = NOTHING_KNOWN,
): BatchMessage {
  const payloads = new ArrayBuffer(
    events.reduce((bytes, { payload }) => bytes + bytesOf(payload), 0),
  )
  const target = Buffer.from(payloads)
  let end = 0
  const payloadEnds = events.map(({ payload }) => {
    if (payload === null) return NO_PAYLOAD
    if (typeof payload === 'string') end += target.write(payload, end, 'utf8')
    else {
      target.set(payload, end)
      end += payload.byteLength
    }
    return end
  })
  return {
    untilMs,
    known,
    lanes: events.map(event => event.lane),
    ids: events.map(event => event.id),
    eventIds: events.map(event => event.eventId),
    topics: events.map(event => event.topic),
    keys: events.map(event => event.key),
    eventTypes: events.map(event => event.eventType),
    headersJson: events.map(event => event.headersJson),
    payloads,
    payloadEnds,
  }
}

/** What a producer needs of the events; the fields that it has no use for are blank. */
export function decodeBatch(message: BatchMessage): OutboxEvent[] {
  let start = 0
  return message.ids.map((id, index) => {
    const end = message.payloadEnds[index] ?? NO_PAYLOAD
    const payload = end === NO_PAYLOAD ? null : Buffer.from(message.payloads, start, end - start)
    if (end !== NO_PAYLOAD) start = end
    return {
      lane: message.lanes[index] ?? 0,
      id,
      eventId: message.eventIds[index] ?? '',
      topic: message.topics[index] ?? '',
      key: message.keys[index] ?? null,
      eventType: message.eventTypes[index] ?? '',
      payload,
      headersJson: message.headersJson[index] ?? '{}',
      attempts: 0,
      ageMs: 0,
      expired: false,
    }
  })
}

export function encodeOutcomes(outcomes: readonly Outcome[]): OutcomesMessage {
  const faults: (Rejected | Unknown)[] = []
  const known = new Map<string, number>()
  const faultOf = outcomes.map(outcome => {
    if (outcome.kind === 'acked') return -1
    const name = JSON.stringify(outcome)
    const index = known.get(name) ?? faults.push(outcome) - 1
    known.set(name, index)
    return index
  })
  return {
    faultOf,
    faults,
    partitions: outcomes.map(outcome => (outcome.kind === 'acked' ? outcome.partition : 0)),
    offsets: outcomes.map(outcome => (outcome.kind === 'acked' ? outcome.offset : '')),
  }
}

export function decodeOutcomes(message: OutcomesMessage): Outcome[] {
  return message.faultOf.map((fault, index) => {
    const found = message.faults[fault]
    if (found !== undefined) return found
    const partition = message.partitions[index] ?? 0
    return { kind: 'acked', partition, offset: message.offsets[index] ?? '' }
  })
}

function bytesOf(payload: OutboxEvent['payload']): number {
  if (payload === null) return 0
  return typeof payload === 'string' ? Buffer.byteLength(payload, 'utf8') : payload.byteLength
}
