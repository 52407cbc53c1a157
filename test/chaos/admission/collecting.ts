import type { Kafka } from 'kafkajs'
import type postgres from 'postgres'
import { headersAsText } from '../../../src/demo/kafka.ts'
import { type ReadMessage, readMessages } from '../campaign/read-records.ts'
import { connect } from '../campaign/stage.ts'
import type { AdmissionHistory, RoomLeft, SessionLeft, Status } from './history.ts'
import type { AdmissionStage } from './stage.ts'

interface JournalRow {
  readonly n: number
  readonly xact: string
  readonly at_ms: number
  readonly committed_ms: number | null
  readonly event_id: string
  readonly session_id: string | null
  readonly user_id: string
  readonly was: Status | null
  readonly status: Status | null
  readonly seq_was: number | null
  readonly seq: number | null
  readonly log_partition: number | null
  readonly log_offset: number | null
  readonly lease_until_ms: number | null
  readonly seen_ms: number | null
  readonly room_held: boolean | null
  readonly capacity: number
  readonly paused: boolean
  readonly wait_grace_ms: number | null
  readonly lease_ms: number
  readonly renewable: boolean
  readonly active: number
  readonly granted: number
  readonly freed: number
}

const ROWS_AT_ONCE = 5_000

/** Puts into the history what Kafka and PostgreSQL hold, once at rest. */
export async function collect(
  { directUrl, joinsTopic, changesTopic }: AdmissionStage,
  kafka: Kafka,
  history: AdmissionHistory,
): Promise<void> {
  // Connections that no fault has touched.
  const sql = connect(directUrl)
  try {
    await collectJournal(sql, history)
    await collectTables(sql, history)
  } finally {
    await sql.end({ timeout: 1 })
  }
  await readMessages(kafka, [joinsTopic, changesTopic], read => {
    if (read.topic === joinsTopic) tellJoin(read, history)
    else tellChange(read, history)
  })
}

async function collectJournal(sql: postgres.Sql, history: AdmissionHistory): Promise<void> {
  // Bigints of a campaign are far below those that a double cannot hold.
  const rows = sql<JournalRow[]>`
    select n::float8, xact::text, extract(epoch from at)::float8 * 1000 as at_ms,
      extract(epoch from pg_xact_commit_timestamp(xact::xid))::float8 * 1000 as committed_ms,
      event_id, session_id::text, user_id, was, status, seq_was::float8, seq::float8, log_partition,
      log_offset::float8, extract(epoch from lease_until)::float8 * 1000 as lease_until_ms,
      extract(epoch from seen_at)::float8 * 1000 as seen_ms, room_held, capacity, paused, wait_grace_ms,
      lease_ms, renewable, active, granted::float8, freed::float8
    from chaos.journal order by n`
  await rows.cursor(ROWS_AT_ONCE, some => {
    for (const row of some) tellRow(row, history)
  })
}

function tellRow(row: JournalRow, history: AdmissionHistory): void {
  const { n, xact, at_ms: atMs, committed_ms: committedMs, event_id: eventId } = row
  if (committedMs === null) throw new Error(`no commit time is known of transaction ${xact}`)
  const journaled = { n, xact, atMs, committedMs, eventId }
  if (row.session_id === null) {
    const { capacity, paused, wait_grace_ms: waitGraceMs, lease_ms: leaseMs, renewable } = row
    const { active, seq, granted, freed } = row
    const set = { capacity, paused, waitGraceMs, leaseMs, renewable }
    const counted = { active, lastSeq: seq ?? 0, granted, freed }
    history.tell({ kind: 'room_changed', ...journaled, ...set, ...counted })
    return
  }
  const { session_id: sessionId, user_id: userId, was, status, seq_was: seqWas, seq } = row
  history.tell({
    ...{ kind: 'session_changed', ...journaled, sessionId, userId, was, status, seqWas, seq },
    logPartition: row.log_partition,
    logOffset: row.log_offset,
    leaseUntilMs: row.lease_until_ms,
    seenMs: row.seen_ms,
    roomHeld: row.room_held ?? false,
  })
}

async function collectTables(sql: postgres.Sql, history: AdmissionHistory): Promise<void> {
  const sessions = sql<Omit<SessionLeft, 'kind'>[]>`
    select id::text as "sessionId", event_id as "eventId", user_id as "userId", status, seq::float8,
      log_partition as "logPartition", log_offset::float8 as "logOffset"
    from admission.sessions`
  await sessions.cursor(ROWS_AT_ONCE, some => {
    for (const session of some) history.tell({ kind: 'session', ...session })
  })
  const rooms = await sql<Omit<RoomLeft, 'kind'>[]>`
    select event_id as "eventId", capacity, active, last_seq::float8 as "lastSeq", granted::float8, freed::float8
    from admission.rooms`
  for (const room of rooms) history.tell({ kind: 'room', ...room })
}

function tellJoin(read: ReadMessage, history: AdmissionHistory): void {
  const { record, value } = parsed(read)
  const { sessionId, eventId, userId } = value
  history.tell({ kind: 'join_record', ...record, sessionId, eventId, userId })
}

function tellChange(read: ReadMessage, history: AdmissionHistory): void {
  const { record, value, type } = parsed(read)
  const { sessionId, eventId, userId, status } = value
  const seq = value.seq === null ? null : Number(value.seq)
  const change = { type, sessionId, eventId, userId, status, seq }
  history.tell({ kind: 'change_record', ...record, ...change })
}

function parsed({ partition, message }: ReadMessage) {
  const { event_id: recordId = '', event_type: type = '' } = headersAsText(message.headers)
  const key = message.key === null ? null : String(message.key)
  const record = { partition, offset: Number(message.offset), recordId, key }
  return { record, type, value: JSON.parse(String(message.value)) }
}
