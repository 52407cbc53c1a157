import type { RelayListener } from '../events.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Unknown } from './producer.ts'
import type { Attempt } from './slot.ts'

interface TopicTally {
  acked: number
  rejected: number
  unknown: number
  bytes: number
  readonly latenciesSeconds: number[]
  failure: Unknown | null
}

/** Tells the listeners what came of a batch, topic by topic. */
export function tellPublished(
  emit: RelayListener,
  attempts: readonly Attempt[],
  durationMs: number,
): void {
  const tallies = new Map<string, TopicTally>()
  for (const { event, outcome } of attempts) {
    const tally = tallyOf(tallies, event.topic)
    tally[outcome.kind]++
    if (outcome.kind === 'acked') {
      tally.bytes += bytesOf(event)
      // Its age by the database's clock when it was read, and the time since by ours: no clocks are compared.
      tally.latenciesSeconds.push(Math.max(0, event.ageMs + durationMs) / 1000)
    }
    if (outcome.kind === 'unknown' && outcome.fault !== 'held') tally.failure ??= outcome
  }
  emit({ kind: 'batch_published', events: attempts.length, durationMs })
  for (const [topic, { failure, ...tally }] of tallies) {
    emit({ kind: 'published', topic, ...tally })
    if (failure) tellFailure(emit, topic, failure, tally.unknown)
  }
}

function tellFailure(emit: RelayListener, topic: string, failure: Unknown, events: number): void {
  const { code, message, fault } = failure
  if (fault === 'held') return
  emit({ kind: 'publish_failed', topic, code, message, events, fault })
}

function tallyOf(tallies: Map<string, TopicTally>, topic: string): TopicTally {
  const known = tallies.get(topic)
  if (known) return known
  const tally: TopicTally = {
    acked: 0,
    rejected: 0,
    unknown: 0,
    bytes: 0,
    latenciesSeconds: [],
    failure: null,
  }
  tallies.set(topic, tally)
  return tally
}

function bytesOf({ payload }: OutboxEvent): number {
  if (payload === null) return 0
  return typeof payload === 'string' ? Buffer.byteLength(payload) : payload.byteLength
}
