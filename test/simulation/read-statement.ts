import type { ReserveOptions } from '../../src/outbox/adapter.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { LaneStart, Reading } from '../../src/outbox/event-store.ts'
import type { EventRow } from './event-rows.ts'
import type { PostgresServer } from './postgres-server.ts'

/** What the statement of src/outbox/read-events.ts finds, under one snapshot. */
export function readEvents(
  server: PostgresServer,
  lanes: readonly LaneStart[],
  limit: number,
  { exceptTopics, bytesMax }: ReserveOptions,
): Reading {
  const nowMs = server.nowMs
  const isReadable = (row: EventRow) =>
    row.notBeforeMs <= nowMs &&
    !exceptTopics.includes(row.record.plan.topic) &&
    !isHeld(server, row)
  const found = [
    ...refused(server, lanes, isReadable).slice(0, limit),
    ...unrefused(server, lanes, limit, isReadable),
  ]
  const events: EventRow[] = []
  let bytes = 0
  for (const row of found) {
    if (events.length === limit || bytes >= bytesMax) break
    events.push(row)
    bytes += row.bytes
  }
  const { position, flushed } = server.log
  const holding = server.events.retrying.size > 0 || server.blocking.size > 0
  return {
    events: events.map(row => toEvent(row, nowMs)),
    keysHeld: events.length > 0 && holding,
    unflushedUpTo: events.length > 0 && flushed < position ? `${position} ${server.crashes}` : null,
  }
}

function refused(
  server: PostgresServer,
  lanes: readonly LaneStart[],
  isReadable: (row: EventRow) => boolean,
): EventRow[] {
  if (server.events.retrying.size === 0) return []
  const wanted = new Set(lanes.map(({ lane }) => lane))
  return [...server.events.retrying]
    .filter(row => wanted.has(row.lane) && isReadable(row))
    .sort((a, b) => a.id - b.id)
}

function unrefused(
  server: PostgresServer,
  lanes: readonly LaneStart[],
  limit: number,
  isReadable: (row: EventRow) => boolean,
): EventRow[] {
  const found: EventRow[] = []
  for (const { lane, fromId } of lanes) {
    for (const row of server.events.from(lane, Number(fromId))) {
      if (found.length === limit) return found
      if (row.attempts === 0 && isReadable(row)) found.push(row)
    }
  }
  return found
}

/** An earlier event of its key waits with a refusal, or lies among the dead letters and blocks. */
function isHeld(server: PostgresServer, row: EventRow): boolean {
  const { topic, key } = row.record.plan
  if (key === null) return false
  const isEarlier = (other: EventRow) =>
    other.id < row.id && other.record.plan.topic === topic && other.record.plan.key === key
  for (const other of server.events.retrying) if (isEarlier(other)) return true
  for (const dead of server.blocking) if (isEarlier(dead.row)) return true
  return false
}

function toEvent(row: EventRow, nowMs: number): OutboxEvent {
  const { topic, key, eventId } = row.record.plan
  return {
    lane: row.lane,
    id: String(row.id),
    eventId,
    topic,
    key,
    eventType: 'T',
    payload: 'x'.repeat(row.bytes),
    headersJson: '{}',
    attempts: row.attempts,
    ageMs: nowMs - row.createdMs,
    expired: row.expiresMs <= nowMs,
  }
}
