import { createHash } from 'node:crypto'
import type { Message } from 'kafkajs'
import { fingerprintOf, sha256 } from '../src/demo/fingerprint.ts'
import type { Sql } from '../src/demo/shop-schema.ts'
import type { CommittedEvent } from '../src/demo/verdict.ts'
import { partitionOfKey } from '../src/kafka/partitioner.ts'

export interface Backlog {
  readonly topic: string
  readonly events: number
  readonly keys: number
  /** Of the payload, JSON around it included. */
  readonly bytes: number
  readonly partitions: number
}

const EVENT_TYPE = 'BenchEvent'
const HEADERS = { source: 'bench' }
/** `{"n":12345678,"pad":""}` */
const FRAME_BYTES = 24

const keyOf = (n: number, { keys }: Backlog) => `key-${n % keys}`
const padOf = ({ bytes }: Backlog) => 'x'.repeat(Math.max(0, bytes - FRAME_BYTES))
const payloadOf = (n: number, pad: string) => `{"n":${String(n).padStart(8)},"pad":"${pad}"}`

/** The id that `fill` gives the n-th event. */
function eventIdOf(topic: string, n: number): string {
  const hex = createHash('md5').update(`${topic}/${n}`).digest('hex')
  return [[0, 8], [8, 12], [12, 16], [16, 20], [20]].map(cut => hex.slice(...cut)).join('-')
}

/** Fills the outbox with all events in one statement. */
export async function fill(sql: Sql, backlog: Backlog): Promise<void> {
  await sql`
    insert into outbox.events (event_id, topic, key, event_type, headers, payload)
    select
      md5(${backlog.topic} || '/' || n)::uuid,
      ${backlog.topic},
      'key-' || n % ${backlog.keys}::int,
      ${EVENT_TYPE},
      ${JSON.stringify(HEADERS)}::text::jsonb,
      ('{"n":' || lpad(n::text, 8) || ',"pad":"' || ${padOf(backlog)} || '"}')::json
    from generate_series(1, ${backlog.events}::int) n
  `
}

/** What the verdict must find once the backlog is drained. */
export function* committedEvents(backlog: Backlog): Generator<CommittedEvent> {
  const pad = padOf(backlog)
  for (let n = 1; n <= backlog.events; n++) {
    yield {
      eventId: eventIdOf(backlog.topic, n),
      topic: backlog.topic,
      key: keyOf(n, backlog),
      seqInKey: n,
      fingerprint: fingerprintOf({
        eventType: EVENT_TYPE,
        headers: HEADERS,
        payloadSha256: sha256(payloadOf(n, pad)),
      }),
    }
  }
}

/** The records that a relay makes of the backlog, partition included. */
export function recordsOf(backlog: Backlog): Message[] {
  const pad = padOf(backlog)
  return Array.from({ length: backlog.events }, (_, index) => {
    const n = index + 1
    const key = keyOf(n, backlog)
    return {
      key,
      value: payloadOf(n, pad),
      partition: partitionOfKey(key, backlog.partitions),
      headers: {
        ...HEADERS,
        event_id: eventIdOf(backlog.topic, n),
        event_type: EVENT_TYPE,
        'sluice-id': String(n),
      },
    }
  })
}
