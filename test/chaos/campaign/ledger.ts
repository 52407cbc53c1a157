import type { Client } from 'pg'
import type { PlannedEvent, Topics } from './event-plan.ts'
import { contentOf, type Payload, payloadOf } from './event-plan.ts'

/**
 * The truth: what committed, written in the transactions that wrote the events, and what position each event has among
 * those of its (topic, key). A commit whose answer got lost is in it or not, and that settles it.
 */
export const LEDGER_SQL = `
create schema chaos;
create table chaos.keys (topic text, key text, seq bigint not null, primary key (topic, key));
create table chaos.ledger (
  event_id   uuid primary key,
  id         bigint not null,
  topic      text not null,
  key        text,
  seq        bigint,
  content    text not null,
  not_before timestamptz,
  fate       text not null,
  reason     text
);`

/**
 * The keys are locked before any id is drawn, so that the ids of a key ascend in the order of its commits; always in
 * the same order, so that writers cannot deadlock.
 */
const LOCK_SQL = `
select pg_advisory_xact_lock(lock)
from (
  select distinct hashtextextended(k->>'topic' || ' ' || (k->>'key'), 0) as lock
  from json_array_elements($1::json) k
  order by 1 offset 0
) l`

const NUMBER_SQL = `
insert into chaos.keys as known (topic, key, seq)
select k->>'topic', k->>'key', (k->>'count')::bigint from json_array_elements($1::json) k
on conflict (topic, key) do update set seq = known.seq + excluded.seq
returning topic, key, seq::text`

const WRITE_SQL = `
with given as materialized (
  select n, e from json_array_elements($1::json) with ordinality as g (e, n)
), written as (
  insert into outbox.events (event_id, topic, key, event_type, payload, payload_bytes, headers, not_before, expires_at)
  select
    (e->>'eventId')::uuid, e->>'topic', e->>'key', e->>'eventType', (e->>'text')::json,
    decode(e->>'base64', 'base64'), (e->>'headersJson')::jsonb,
    clock_timestamp() + (e->>'notBeforeInMs')::float8 * interval '1 ms',
    clock_timestamp() + (e->>'expiresInMs')::float8 * interval '1 ms'
  from given
  order by n
  returning id, event_id, not_before
)
insert into chaos.ledger (event_id, id, topic, key, seq, content, not_before, fate, reason)
select
  w.event_id, w.id, e->>'topic', e->>'key', (e->>'seq')::bigint, e->>'content', w.not_before, e->>'fate', e->>'reason'
from given join written w on w.event_id = (e->>'eventId')::uuid`

/** Writes events and their ledger entries in the transaction that the client has open. */
export async function writeEvents(client: Client, events: readonly PlannedEvent[]): Promise<void> {
  const counts = new Map<string, { topic: string; key: string; count: number }>()
  for (const { topic, key } of events) {
    if (key === null) continue
    const entry = counts.get(`${topic}\n${key}`) ?? { topic, key, count: 0 }
    entry.count++
    counts.set(`${topic}\n${key}`, entry)
  }
  const next = new Map<string, number>()
  if (counts.size > 0) {
    const keys = JSON.stringify([...counts.values()])
    await client.query(LOCK_SQL, [keys])
    const { rows } = await client.query(NUMBER_SQL, [keys])
    for (const { topic, key, seq } of rows as { topic: string; key: string; seq: string }[]) {
      const name = `${topic}\n${key}`
      next.set(name, Number(seq) - (counts.get(name)?.count ?? 0) + 1)
    }
  }
  const rows = events.map(event => {
    const name = `${event.topic}\n${event.key}`
    const seq = event.key === null ? 0 : (next.get(name) ?? 0)
    next.set(name, seq + 1)
    return rowOf(event, seq)
  })
  await client.query(WRITE_SQL, [JSON.stringify(rows)])
}

function rowOf(event: PlannedEvent, seq: number) {
  const payload: Payload = payloadOf(event, seq)
  // An event with a delivery delay takes its place when it is due: no order is owed to it.
  const ordered = event.key !== null && event.notBeforeInMs === null
  const { shape: _, ...rest } = event
  return {
    ...rest,
    text: payload.text,
    base64: payload.bytes?.toString('base64') ?? null,
    seq: ordered ? seq : null,
    content: contentOf(event, payload),
  }
}

export interface LedgerRow {
  readonly event_id: string
  readonly id: string
  readonly topic: string
  readonly key: string | null
  readonly seq: string | null
  readonly content: string
  readonly not_before_ms: number | null
  readonly fate: 'published' | 'dead' | 'either'
  readonly reason: string | null
}

export const READ_LEDGER_SQL = `
select event_id::text, id::text, topic, key, seq::text, content,
  (extract(epoch from not_before) * 1000)::float8 as not_before_ms, fate, reason
from chaos.ledger`

/** Which topics are excused, and which may spend attempts. */
export function standingOf(topics: Topics, topic: string): { excused: boolean; mayFail: boolean } {
  return { excused: topic === topics.doomed, mayFail: topic === topics.limited }
}
