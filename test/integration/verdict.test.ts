import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import type { Message } from 'kafkajs'
import { judgeTopics } from '../../src/demo/evidence.ts'
import { fingerprintOf, sha256 } from '../../src/demo/fingerprint.ts'
import { disconnect, openKafka } from '../../src/demo/kafka.ts'
import { Shop } from '../../src/demo/shop.ts'
import { createShop, type Sql } from '../../src/demo/shop-schema.ts'
import { migrate } from '../../src/migrate.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic } from '../support/kafka.ts'
import { brokers } from '../support/relay.ts'

const headers = { source: 'shop', 'order-id': '17' }
const PARTITIONS = 3

interface Entry {
  readonly eventId: string
  readonly key: string
  readonly seqInKey: number
  readonly payload: string
}

/** Six committed events of two keys in the ledger of a new database, and a topic for what became of them. */
async function setup(t: TestContext) {
  const { sql } = await createDatabase(t)
  await createShop(sql)
  const topic = await createTopic(t, { partitions: PARTITIONS })
  const kafka = openKafka({ brokers: brokers(), clientId: 'sluice-test' })
  const entries: Entry[] = []
  for (let seqInKey = 1; seqInKey <= 3; seqInKey++) {
    for (const key of ['a', 'b']) {
      const payload = JSON.stringify({ seq: seqInKey, text: 'käse ✓' })
      entries.push({ eventId: randomUUID(), key, seqInKey, payload })
    }
  }
  await sql`
    insert into shop.ledger ${sql(
      entries.map(({ eventId, key, seqInKey, payload }) => ({
        event_id: eventId,
        topic,
        key,
        seq_in_key: seqInKey,
        event_type: 'OrderPlaced',
        headers: sql.json(headers),
        payload_sha256: sha256(payload) as string,
      })),
    )}
  `
  const produce = async (messages: Message[]) => {
    const producer = kafka.producer({ allowAutoTopicCreation: false })
    await producer.connect()
    // One by one, so that each is a record batch of its own and offsets follow the given order.
    for (const message of messages) await producer.send({ topic, messages: [message] })
    await disconnect(producer)
  }
  const verdict = () => judgeTopics({ sql, kafka, topics: [topic], stallMs: 20_000 })
  return { messages: entries.map(messageOf), produce, verdict }
}

/** The record that the relay makes of an event. */
function messageOf({ eventId, key, payload }: Entry): Message {
  return {
    key,
    value: payload,
    partition: key === 'a' ? 0 : 1,
    headers: { ...headers, event_id: eventId, event_type: 'OrderPlaced', 'sluice-id': '1' },
  }
}

const clean = {
  committed: 6,
  published: 6,
  lost: 0,
  duplicates: 0,
  phantom: 0,
  outOfOrder: 0,
  mutated: 0,
}

test('records that match the ledger pass, across partitions', async t => {
  const { messages, produce, verdict } = await setup(t)
  await produce(messages)
  assert.deepEqual(await verdict(), clean)
})

test('with nothing in Kafka every committed event is lost', async t => {
  const { verdict } = await setup(t)
  assert.deepEqual(await verdict(), { ...clean, published: 0, lost: 6 })
})

test('a lost, a phantom and a repeated record are each seen in Kafka', async t => {
  const { messages, produce, verdict } = await setup(t)
  const [first, second, ...rest] = messages as [Message, Message, ...Message[]]
  const phantom = { ...second, headers: { ...second.headers, event_id: randomUUID() } }
  await produce([first, ...rest, phantom, first, { ...first, headers: {} }])
  assert.deepEqual(await verdict(), { ...clean, published: 5, lost: 1, duplicates: 1, phantom: 2 })
})

test('two records of a key in the wrong order are seen in Kafka', async t => {
  const { messages, produce, verdict } = await setup(t)
  const [a1, b1, a2, ...rest] = messages as [Message, Message, Message, ...Message[]]
  await produce([a2, b1, a1, ...rest])
  assert.deepEqual(await verdict(), { ...clean, outOfOrder: 1 })
})

test('a record beside the partition of its key is seen in Kafka', async t => {
  const { messages, produce, verdict } = await setup(t)
  const last = messages.pop() as Message
  await produce([...messages, { ...last, partition: 2 }])
  assert.deepEqual(await verdict(), { ...clean, outOfOrder: 1 })
})

test('a changed byte, a missing header and a tombstone are seen in Kafka', async t => {
  const { messages, produce, verdict } = await setup(t)
  const [byte, header, tombstone, ...rest] = messages as [Message, Message, Message, ...Message[]]
  const { 'order-id': _, ...fewer } = header.headers ?? {}
  await produce([
    { ...byte, value: `${byte.value} ` },
    { ...header, headers: fewer },
    { ...tombstone, value: null },
    ...rest,
  ])
  assert.deepEqual(await verdict(), { ...clean, mutated: 3 })
})

test('the shop commits the wanted number of events, and the ledger is what the outbox got', async t => {
  const { sql } = await createDatabase(t)
  await migrate({ sql })
  await createShop(sql)
  const shop = new Shop({
    sql,
    run: 'test',
    topics: { orders: 'orders', payments: 'payments' },
    seed: 1,
    writers: 4,
    events: 300,
    ratePerSecond: undefined,
  })
  await shop.run(AbortSignal.timeout(60_000))
  assert.equal(shop.committed, 300)
  assert.equal(shop.failures.count, 0)
  assert.ok(shop.rolledBack > 0)
  assert.deepEqual(await rowsOf(sql, 'outbox'), await rowsOf(sql, 'ledger'))
  await assertSequencesFollowIds(sql)
})

/** Event ids with the fingerprints of what the table says. */
async function rowsOf(sql: Sql, table: 'outbox' | 'ledger'): Promise<Map<string, string>> {
  interface Row {
    event_id: string
    event_type: string
    headers: Record<string, string>
    payload?: string
    payload_sha256?: string
  }
  const rows =
    table === 'outbox'
      ? await sql<Row[]>`
          select event_id, event_type, headers, payload::text from outbox.events order by event_id`
      : await sql<Row[]>`
          select event_id, event_type, headers, payload_sha256 from shop.ledger order by event_id`
  return new Map(
    rows.map(row => {
      const payloadSha256 = row.payload_sha256 ?? sha256(row.payload ?? null)
      const content = { eventType: row.event_type, headers: row.headers, payloadSha256 }
      return [row.event_id, fingerprintOf(content)]
    }),
  )
}

/** Within each key the ledger counts 1, 2, 3 … in the order of the outbox's ids. */
async function assertSequencesFollowIds(sql: Sql): Promise<void> {
  const wrong = await sql`
    select * from (
      select l.seq_in_key, row_number() over (partition by e.topic, e.key order by e.id) as expected
      from outbox.events e join shop.ledger l using (event_id)
    ) s
    where seq_in_key <> expected
  `
  assert.deepEqual([...wrong], [])
}
