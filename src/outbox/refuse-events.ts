import type { Sql } from '../postgres/database.ts'
import type { FailedEvent } from './adapter.ts'
import { PARTITION_HEADER } from './partition-header.ts'

/** Refusals kept in a row's history; the oldest go first. */
const HISTORY_MAX = 20
/** A longer error is cut; a broker's message is no place to look for a payload. */
const ERROR_LENGTH_MAX = 2_000

/**
 * What a refusal is recorded by, for the statement in `EventTable`. The number of attempts that was read is part of
 * the condition, so that a repeated call spends no second one.
 */
export function faultsJson(failures: readonly FailedEvent[]): string {
  return JSON.stringify(
    failures.map(({ event, kind, reason, error, retryDelayMs, blocksKey }) => ({
      lane: event.lane,
      id: event.id,
      attempts: event.attempts,
      dead: kind === 'dead',
      blocks_key: kind === 'dead' && event.key !== null && blocksKey === true,
      reason,
      error: withoutNul(error).slice(0, ERROR_LENGTH_MAX),
      retry_delay_ms: retryDelayMs,
    })),
  )
}

/**
 * The statement's parts behind `held`, the lanes whose epoch is still ours: an attempt is spent and the next one
 * scheduled, or the event moves to the dead letters, and a copy of it to the topic of dead letters if there is one.
 *
 * A copy travels as an event of its own, in the same transaction. It leaves out a payload that was too large, headers
 * that are no strings, and the one that names a partition: what could not be published must not be refused again.
 */
export function refusal(sql: Sql, faults: string, deadLetterTopic: string | null) {
  return sql`
    fault as (
      select f.*, e.key as event_key, jsonb_build_object(
        'at', clock_timestamp(), 'attempt', f.attempts + 1, 'reason', f.reason, 'error', f.error
      ) as entry
      from jsonb_to_recordset(${faults}::text::jsonb) as f (
        lane smallint, id bigint, attempts int, dead boolean, blocks_key boolean, reason text, error text,
        retry_delay_ms float8
      )
      join held using (lane)
      join outbox.events e on e.lane = f.lane and e.id = f.id
    ), retried as (
      update outbox.events e
      set attempts = e.attempts + 1,
          last_error = f.reason || ': ' || f.error,
          history = (case when jsonb_array_length(e.history) >= ${HISTORY_MAX} then e.history - 0
                          else coalesce(e.history, '[]') end) || f.entry,
          not_before = clock_timestamp() + f.retry_delay_ms * interval '1 ms'
      from fault f
      where e.lane = f.lane and e.id = f.id and e.attempts = f.attempts and not f.dead
      returning e.id
    ), died as (
      delete from outbox.events e
      using fault f
      where e.lane = f.lane and e.id = f.id and e.attempts = f.attempts and f.dead
      returning e.*, f.reason, f.error, f.entry, f.blocks_key
    ), buried as (
      insert into outbox.dead_letters (
        id, lane, event_id, topic, key, event_type, headers, payload, payload_bytes, created_at, not_before,
        expires_at, attempts, reason, error, history, blocks_key
      )
      select
        id, lane, event_id, topic, key, event_type, headers, payload, payload_bytes, created_at, not_before,
        expires_at, attempts + (case when reason = 'expired' then 0 else 1 end), reason, error,
        coalesce(history, '[]') || entry, blocks_key
      from died
      returning id
    ), forwarded as (
      insert into outbox.events (topic, key, event_type, payload, payload_bytes, headers)
      select
        ${deadLetterTopic}::text, key, event_type,
        case when reason <> 'message_too_large' then payload end,
        case when reason <> 'message_too_large' then payload_bytes end,
        coalesce(
          (select jsonb_object_agg(h.key, h.value) from jsonb_each(headers) h where jsonb_typeof(h.value) = 'string'),
          '{}'
        ) - ${PARTITION_HEADER}::text || jsonb_build_object(
          'sluice-dead-id', id::text, 'sluice-dead-event-id', event_id::text, 'sluice-dead-topic', topic,
          'sluice-dead-reason', reason, 'sluice-dead-error', left(error, 500),
          'sluice-dead-payload', case when reason = 'message_too_large' then 'left out' else 'as it was' end
        )
      from died
      where ${deadLetterTopic}::text is not null and topic <> ${deadLetterTopic}::text
    )`
}

/** PostgreSQL's text cannot hold U+0000, which a broker's message might. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '')
}
