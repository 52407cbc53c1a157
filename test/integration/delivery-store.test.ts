import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import {
  CommitInDoubt,
  type Delivered,
  type Delivery,
  type DeliveryStore,
  type Parking,
} from '../../src/consumer/delivery-store.ts'
import type { SourceRecord } from '../../src/consumer/message.ts'
import type { Tx } from '../../src/consumer/tx.ts'
import { SluiceError } from '../../src/errors.ts'
import { migrate } from '../../src/migrate.ts'
import { Database, type Sql } from '../../src/postgres/database.ts'
import { openTransactionPool, type TransactionPool } from '../../src/postgres/transaction-pool.ts'
import { PostgresDeliveryStore } from '../../src/waiting-room/postgres-delivery-store.ts'
import { headersFromJson } from '../../src/waiting-room/task-headers.ts'
import { startOwnPostgres } from '../chaos/faults/own-postgres.ts'
import { cleanup } from '../support/cleanup.ts'
import { applyConsumerSchema } from '../support/consumer-schema.ts'
import { createDatabase } from '../support/database.ts'
import { tapServer } from '../support/tapped-server.ts'
import { until } from '../support/until.ts'

const GROUP = 'billing'
const NEVER = { expiresAt: null }
const PARTITION = { topic: 'orders', partition: 0 }

interface Rig {
  readonly sql: Sql
  readonly store: DeliveryStore
  openStore(limits?: { perKey: number; perGroup: number }): DeliveryStore
}

async function setup(t: TestContext): Promise<Rig> {
  const { url, sql } = await createDatabase(t)
  await applyConsumerSchema(sql)
  await sql`create table effects (id text not null, by text not null)`
  const openStore = (limits = { perKey: 100, perGroup: 1_000 }) => openStoreOn(t, url, limits)
  return { sql, store: openStore(), openStore }
}

function openStoreOn(
  t: TestContext,
  url: string,
  limits = { perKey: 100, perGroup: 1_000 },
): DeliveryStore {
  const settings = { url, applicationName: 'sluice store', statementTimeoutMs: 10_000 }
  const database = new Database({ ...settings, connectionsMax: 1 })
  const pool: TransactionPool = openTransactionPool({
    ...settings,
    connectionsMax: 4,
    idleInTransactionTimeoutMs: 10_000,
  })
  cleanup(t, () => database.stop())
  cleanup(t, () => pool.stop())
  return new PostgresDeliveryStore({
    pool,
    database,
    group: GROUP,
    controlTopic: 'twr-inbox',
    limits,
  })
}

let offset = 0n

function deliveryOf(
  overrides: Partial<SourceRecord> & { id?: string; ordered?: boolean } = {},
): Delivery {
  const { id = randomUUID(), ordered, ...record } = overrides
  const full: SourceRecord = {
    topic: 'orders',
    partition: 0,
    offset: offset++,
    key: Buffer.from('k'),
    value: Buffer.from('{"n":1}'),
    headers: [{ name: 'event_id', value: Buffer.from(id) }],
    timestampMs: 1_700_000_000_123,
    ...record,
  }
  return { record: full, messageId: id, ordered: ordered ?? full.key !== null }
}

/** A handler that writes down whom it has handled. */
const noting =
  (by = 'me') =>
  async (admitted: readonly Delivery[], tx: Tx) => {
    for (const { messageId } of admitted) await tx`insert into effects values (${messageId}, ${by})`
  }

const effects = async (sql: Sql): Promise<string[]> =>
  (await sql`select id from effects order by id`).map(row => row.id as string)

const inbox = async (sql: Sql): Promise<string[]> =>
  (await sql`select message_id from waiting_room.inbox where group_id = ${GROUP} order by 1`).map(
    row => row.message_id as string,
  )

const tasks = (sql: Sql) =>
  sql`select * from waiting_room.tasks where group_id = ${GROUP} order by id`

const states = async (sql: Sql): Promise<string[]> =>
  (await tasks(sql)).map(row => row.state as string)

const openOf = async (sql: Sql, key: string): Promise<number | null> =>
  (await sql`select open from waiting_room.keys where key = ${Buffer.from(key)}`)[0]?.open ?? null

const told = async (sql: Sql): Promise<string[]> =>
  (await sql`select event_type from outbox.events where topic = 'twr-inbox' order by id`).map(
    row => row.event_type as string,
  )

const RETRY: Parking = { kind: 'retry', due: { inMs: 60_000 }, attempts: 1, reason: 'not yet' }

const sorted = (...deliveries: Delivery[]) => deliveries.map(({ messageId }) => messageId).sort()

test('records are handled once, in order, together with their effects', async t => {
  const { sql, store } = await setup(t)
  const many = [deliveryOf(), deliveryOf({ key: null }), deliveryOf({ key: Buffer.alloc(0) })]
  let seen: readonly Delivery[] = []
  const delivered = await store.deliver(many, async (admitted, tx) => {
    seen = admitted
    await noting()(admitted, tx)
  })
  assert.deepEqual(delivered, ['handled', 'handled', 'handled'])
  assert.deepEqual(seen, many)
  const again = await store.deliver(many, async () => assert.fail('there is nothing to handle'))
  assert.deepEqual(again, ['duplicate', 'duplicate', 'duplicate'])
  assert.deepEqual(await effects(sql), sorted(...many))
  assert.deepEqual(await inbox(sql), sorted(...many))
  assert.deepEqual(await store.deliver([], async () => assert.fail('nothing')), [])
})

test('admitting records costs one round trip, and with the commit it is two', async t => {
  const { url, sql } = await createDatabase(t)
  await applyConsumerSchema(sql)
  const tapped = await tapServer(t, url)
  const store = openStoreOn(t, tapped.url)
  // The first time the statements are prepared.
  for (const count of [1, 2]) {
    const some = () => Array.from({ length: count }, () => deliveryOf())
    await store.deliver(some(), async () => {})
    tapped.said.length = 0
    await store.deliver(some(), async () => {})
    assert.equal(tapped.said.length, 2)
    assert.match(tapped.said[0] as string, /begin/)
    assert.match(tapped.said[1] as string, /commit/)
  }
})

test('an id that comes twice at once is handled once', async t => {
  const { store } = await setup(t)
  const first = deliveryOf({ id: 'same' })
  const second = deliveryOf({ id: 'same' })
  let handled: readonly Delivery[] = []
  const delivered = await store.deliver([first, second], async admitted => {
    handled = admitted
  })
  assert.deepEqual(delivered, ['handled', 'duplicate'])
  assert.deepEqual(handled, [first])
})

test('groups do not see each other', async t => {
  const { sql, store } = await setup(t)
  const delivery = deliveryOf()
  await sql`
    insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset")
    values ('another', ${delivery.messageId}, 'orders', 0, 0)`
  await sql`
    insert into waiting_room.keys (group_id, topic, key, open) values ('another', 'orders', 'k', 1)`
  assert.deepEqual(await store.deliver([delivery], noting()), ['handled'])
})

test('a handler that rejects leaves nothing, and its rejection is passed on', async t => {
  const { sql, store } = await setup(t)
  const [first, behind] = [deliveryOf({ key: Buffer.from('free') }), deliveryOf()]
  await store.park(deliveryOf(), RETRY, NEVER)
  const reason = new Error('no')
  const work = store.deliver([first, behind], async (admitted, tx) => {
    await noting()(admitted, tx)
    throw reason
  })
  await assert.rejects(work, error => error === reason)
  assert.deepEqual(await effects(sql), [])
  assert.equal((await inbox(sql)).length, 1)
  assert.deepEqual(await states(sql), ['waiting'])
  assert.equal(await openOf(sql, 'k'), 1)
})

test('of two members with the same records one has the effects, whichever way they go', async t => {
  const { sql, store, openStore } = await setup(t)
  const rival = openStore()
  const many = Array.from({ length: 40 }, (_, n) => deliveryOf({ key: Buffer.from(`k${n}`) }))
  const turned = [...many].reverse()
  const results = await Promise.all([
    ...many.map(one => store.deliver([one], noting('store'))),
    ...turned.map(one => rival.deliver([one], noting('rival'))),
    store.deliver(many, noting('store')),
    rival.deliver(turned, noting('rival')),
  ])
  assert.deepEqual(await effects(sql), sorted(...many))
  assert.equal(results.flat().filter(how => how === 'handled').length, many.length)
})

test('a record waits for the rival that has it, and takes over when the rival fails', async t => {
  const { sql, store, openStore } = await setup(t)
  const one = deliveryOf()
  let second: Promise<unknown> | undefined
  const first = store.deliver([one], async (_admitted, tx) => {
    await tx`insert into effects values ('lost', 'store')`
    second = openStore().deliver([one], noting('rival'))
    await until(
      async () =>
        (
          await sql`
            select from pg_stat_activity
            where wait_event = 'transactionid' and datname = current_database()`
        ).length === 1,
      { deadlineMs: 5_000, what: 'the rival waits' },
    )
    throw new Error('not mine')
  })
  await assert.rejects(first, /not mine/)
  assert.deepEqual(await second, ['handled'])
  assert.deepEqual(await effects(sql), [one.messageId])
})

test('records of a key whose earlier ones wait go behind them, and are told of', async t => {
  const { sql, store } = await setup(t)
  const head = deliveryOf()
  const [second, third] = [deliveryOf(), deliveryOf()]
  const elsewhere = deliveryOf({ topic: 'invoices' })
  const lifted = deliveryOf({ ordered: false })
  assert.equal(await store.park(head, RETRY, NEVER), 'parked')
  const delivered = await store.deliver([second, elsewhere, third, lifted], noting())
  assert.deepEqual(delivered, ['behind', 'handled', 'behind', 'handled'])
  assert.deepEqual(await effects(sql), sorted(elsewhere, lifted))
  assert.deepEqual(
    (await tasks(sql)).map(row => [row.message_id, row.state]),
    [
      [head.messageId, 'waiting'],
      [second.messageId, 'behind'],
      [third.messageId, 'behind'],
    ],
  )
  assert.equal(await openOf(sql, 'k'), 3)
  assert.deepEqual(await told(sql), ['twr.new', 'twr.new', 'twr.new'])
  const again = await store.deliver([second], async () => assert.fail('it waits'))
  assert.deepEqual(again, ['duplicate'])
  assert.equal(await openOf(sql, 'k'), 3)
})

test('without an inbox nothing is remembered, and a key keeps its order all the same', async t => {
  const { sql, store } = await setup(t)
  const forgetting = { remember: false }
  const free = deliveryOf({ key: Buffer.from('free') })
  for (let times = 0; times < 2; times++) {
    const handle = noting(`time ${times}`)
    assert.deepEqual(await store.deliver([free], handle, forgetting), ['handled'])
  }
  assert.equal((await effects(sql)).length, 2)
  assert.deepEqual(await inbox(sql), [])
  const [head, later] = [deliveryOf(), deliveryOf()]
  assert.equal(await store.park(head, RETRY, NEVER), 'parked')
  const overtaking = async () => assert.fail('it waits')
  assert.deepEqual(await store.deliver([later], overtaking, forgetting), ['behind'])
  assert.deepEqual(await store.deliver([later], overtaking, forgetting), ['duplicate'])
  assert.deepEqual(await states(sql), ['waiting', 'behind'])
})

test('a record does not overtake the one that a rival parks meanwhile', async t => {
  const { sql, store, openStore } = await setup(t)
  const rival = openStore()
  for (let round = 0; round < 20; round++) {
    const key = Buffer.from(`key ${round}`)
    const [first, second] = [deliveryOf({ key }), deliveryOf({ key })]
    // The rival has lost the partition, but parks the first; the new owner comes to both of them.
    const [parked, delivered]: [string, Delivered[]] = await Promise.all([
      rival.park(first, RETRY, NEVER),
      store.deliver([first, second], noting()),
    ])
    const rows = await sql`
      select from effects where id in (${first.messageId}, ${second.messageId})`
    if (parked === 'parked') {
      assert.deepEqual(delivered, ['duplicate', 'behind'])
      assert.equal(rows.length, 0)
    } else {
      assert.deepEqual(delivered, ['handled', 'handled'])
      assert.equal(rows.length, 2)
    }
  }
})

test('the second look sees what the first had to wait for', async t => {
  const { sql, store } = await setup(t)
  const [first, second] = [deliveryOf(), deliveryOf()]
  let delivering: Promise<unknown> | undefined
  await sql.begin(async rival => {
    await rival`
      insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset")
      values (${GROUP}, ${first.messageId}, 'orders', 0, 0)`
    await rival`
      insert into waiting_room.keys (group_id, topic, key, open) values (${GROUP}, 'orders', 'k', 1)`
    delivering = store.deliver([first, second], noting())
    delivering.catch(() => {})
    await until(
      async () =>
        (
          await sql`
            select from pg_stat_activity
            where wait_event = 'transactionid' and datname = current_database()`
        ).length === 1,
      { deadlineMs: 5_000, what: 'the delivery waits for the rival' },
    )
  })
  assert.deepEqual(await delivering, ['duplicate', 'behind'])
})

test('a held key keeps its records: the first is held or waits for the end, the others go behind', async t => {
  const { sql, store } = await setup(t)
  await sql`
    insert into waiting_room.keys (group_id, topic, key, open, held_until) values
      (${GROUP}, 'orders', 'for good', 0, 'infinity'),
      (${GROUP}, 'orders', 'a while', 0, now() + interval '1 hour'),
      (${GROUP}, 'orders', 'over', 0, now() - interval '1 hour'),
      (${GROUP}, 'orders', 'parked', 0, now() + interval '1 hour')`
  const of = (key: string) => deliveryOf({ key: Buffer.from(key) })
  const delivered = await store.deliver(
    [of('for good'), of('for good'), of('a while'), of('a while'), of('over')],
    noting(),
  )
  assert.deepEqual(delivered, ['behind', 'behind', 'behind', 'behind', 'handled'])
  await store.park(of('parked'), RETRY, NEVER)
  const rows = await sql`
    select encode(t.key, 'escape') as key, t.state, t.due_at = k.held_until as due_at_end
    from waiting_room.tasks t join waiting_room.keys k using (group_id, topic, key) order by t.id`
  assert.deepEqual(
    rows.map(({ key, state, due_at_end }) => [key, state, due_at_end]),
    [
      ['for good', 'held', false],
      ['for good', 'behind', false],
      ['a while', 'waiting', true],
      ['a while', 'behind', false],
      ['parked', 'waiting', true],
    ],
  )
  assert.equal(await openOf(sql, 'a while'), 2)
})

test('what is parked says when, why and how often, by the clock of the database', async t => {
  const { sql, store } = await setup(t)
  const at = new Date(Date.now() + 86_400_000)
  const expiresAt = new Date(Date.now() + 172_800_000)
  const key = (name: string) => deliveryOf({ key: Buffer.from(name) })
  await store.park(key('retry'), { ...RETRY, attempts: 3 }, { expiresAt })
  await store.park(key('at'), { ...RETRY, due: { at } }, NEVER)
  await store.park(key('delay'), { kind: 'delay', due: { inMs: 5_000 } }, NEVER)
  await store.park(key('hold'), { kind: 'hold', attempts: 2, reason: 'x'.repeat(5_000) }, NEVER)
  const again: Parking = { ...RETRY, kind: 'reproduce', topic: 'orders.billing.retry' }
  await store.park(key('again'), again, NEVER)
  const rows = await sql`
    select encode(key, 'escape') as name, state, attempts, ordered, retry_topic, length(reason) as reason, history,
      expires_at, due_at, extract(epoch from due_at - created_at)::float8 as due_in
    from waiting_room.tasks order by id`
  const facts = rows.map(row => [row.name, row.state, row.attempts, row.ordered, row.retry_topic])
  assert.deepEqual(facts, [
    ['retry', 'waiting', 3, true, null],
    ['at', 'waiting', 1, true, null],
    ['delay', 'waiting', 0, true, null],
    ['hold', 'held', 2, true, null],
    ['again', 'waiting', 1, false, 'orders.billing.retry'],
  ])
  assert.ok(rows[0]?.due_in >= 60 && rows[0]?.due_in < 61)
  assert.deepEqual(rows[0]?.expires_at, expiresAt)
  assert.deepEqual(rows[1]?.due_at, at)
  assert.ok(rows[2]?.due_in >= 5 && rows[2]?.due_in < 6)
  assert.equal(rows[3]?.reason, 1_000)
  assert.equal(rows[0]?.history[0].attempt, 3)
  assert.equal(rows[0]?.history[0].reason, 'not yet')
  assert.deepEqual(rows[2]?.history, [])
  assert.equal(await openOf(sql, 'again'), null)
})

test('what is parked goes behind the waiting ones of its key, unless it ends there', async t => {
  const { sql, store } = await setup(t)
  await store.park(deliveryOf(), RETRY, NEVER)
  await store.park(deliveryOf(), { kind: 'hold', attempts: 1, reason: 'r' }, NEVER)
  await store.park(deliveryOf(), { kind: 'delay', due: { inMs: 0 } }, NEVER)
  const dead: Parking = { kind: 'dead', attempts: 1, reason: 'r', deadLetterTopic: null }
  await store.park(deliveryOf(), dead, NEVER)
  await store.park(deliveryOf(), { kind: 'drop', why: 'expired' }, NEVER)
  assert.deepEqual(await states(sql), ['waiting', 'behind', 'behind', 'dead'])
  assert.equal(await openOf(sql, 'k'), 3)
  assert.equal((await inbox(sql)).length, 5)
  assert.deepEqual(await told(sql), ['twr.new', 'twr.new', 'twr.new', 'twr.failed'])
})

test('what is parked twice is parked once, also by rivals', async t => {
  const { sql, store, openStore } = await setup(t)
  const one = deliveryOf()
  const stores = [store, openStore(), openStore()]
  const results = await Promise.all(stores.map(rival => rival.park(one, RETRY, NEVER)))
  assert.deepEqual(results.sort(), ['duplicate', 'duplicate', 'parked'])
  assert.deepEqual(await states(sql), ['waiting'])
  assert.equal(await openOf(sql, 'k'), 1)
  assert.deepEqual(await store.deliver([one], noting()), ['duplicate'])
})

test('a task that has ended gives way to a new one under its id; one that has not stays', async t => {
  const { sql, store } = await setup(t)
  const [ended, open] = [deliveryOf({ key: Buffer.from('a') }), deliveryOf()]
  const dead: Parking = { kind: 'dead', attempts: 9, reason: 'old', deadLetterTopic: null }
  await store.park(ended, dead, NEVER)
  await store.park(open, RETRY, NEVER)
  // As pruning does.
  await sql`delete from waiting_room.inbox`
  assert.equal(await store.park(ended, RETRY, NEVER), 'parked')
  assert.equal(await store.park(open, RETRY, NEVER), 'duplicate')
  const rows = (await tasks(sql)).map(row => [row.state, row.attempts, row.rev])
  assert.deepEqual(rows, [
    ['waiting', 1, 2],
    ['waiting', 1, 1],
  ])
  assert.equal(await openOf(sql, 'a'), 1)
  assert.equal(await openOf(sql, 'k'), 1)
})

test('a dead letter is published with its bytes, where it lay and why it died', async t => {
  const { sql, store } = await setup(t)
  const value = Buffer.from([0, 255, 1])
  const headers = [
    { name: 'event_id', value: Buffer.from('f4b1c2de-0000-4000-8000-000000000001') },
    { name: 'event_type', value: Buffer.from('OrderPlaced') },
    { name: 'trace', value: Buffer.from('t-1') },
    { name: 'odd', value: Buffer.from([0xff, 0]) },
    { name: 'none', value: null },
    { name: 'sluice-partition', value: Buffer.from('9') },
  ]
  const one = deliveryOf({ offset: 42n, value, headers, key: Buffer.from([0xff, 0, 0x61]) })
  const dead: Parking = {
    kind: 'dead',
    attempts: 10,
    reason: 'it\0 cannot',
    deadLetterTopic: 'orders.dlt',
  }
  await store.park(one, dead, NEVER)
  const [row] = await sql`
    select event_id, event_type, payload_bytes, headers from outbox.events where topic = 'orders.dlt'`
  assert.equal(row?.event_id, 'f4b1c2de-0000-4000-8000-000000000001')
  assert.equal(row?.event_type, 'OrderPlaced')
  assert.deepEqual(row?.payload_bytes, value)
  assert.equal(row?.headers.trace, 't-1')
  assert.equal(row?.headers['twr-origin'], 'orders/0/42')
  assert.equal(row?.headers['sluice-partition'], undefined, 'it was of another topic')
  assert.match(row?.headers['twr-error'], /cannot/)
})

test('whatever bytes a record has, it waits with them', async t => {
  const { sql, store } = await setup(t)
  const odd: Partial<SourceRecord>[] = [
    { key: Buffer.from([0, 0xff]), value: Buffer.from([0, 0xff, 0xfe]) },
    { key: Buffer.alloc(0), value: Buffer.alloc(0) },
    { key: null, value: null },
    { key: Buffer.from('big'), value: randomBytes(2 ** 20) },
    { key: randomBytes(5_000) },
    { timestampMs: -1 },
    { timestampMs: Number.MAX_SAFE_INTEGER },
    { timestampMs: Number.NaN },
    {
      headers: [
        { name: 'a\0b', value: Buffer.from('x\0y') },
        { name: 'latin', value: Buffer.from([0xe4]) },
        { name: 'none', value: null },
        { name: 'twice', value: Buffer.from('1') },
        { name: 'twice', value: Buffer.from('2') },
      ],
    },
  ]
  for (const [index, record] of odd.entries()) {
    const id = index % 2 === 0 ? `odd\0${index}` : randomBytes(5_000).toString('hex')
    const key = Buffer.from(`free ${index}`)
    const delivery = deliveryOf({ key, ...record, id })
    assert.equal(await store.park(delivery, RETRY, NEVER), 'parked')
    assert.deepEqual(await store.deliver([delivery], noting()), ['duplicate'])
    const row = (await tasks(sql)).at(-1)
    assert.deepEqual(row?.key, delivery.record.key)
    assert.deepEqual(row?.value, delivery.record.value)
    assert.deepEqual(headersFromJson(row?.headers), delivery.record.headers)
    assert.equal(await store.park(deliveryOf({ key, ...record }), RETRY, NEVER), 'parked')
  }
  const behind = deliveryOf({ key: Buffer.from('big'), value: randomBytes(2 ** 20), id: 'behind' })
  assert.deepEqual(await store.deliver([behind], noting()), ['behind'])
  assert.deepEqual((await tasks(sql)).at(-1)?.value, behind.record.value)
})

test('many large records go behind, in their order', async t => {
  const { sql, store } = await setup(t)
  await store.park(deliveryOf(), RETRY, NEVER)
  const many = Array.from({ length: 30 }, () => deliveryOf({ value: randomBytes(2 ** 19) }))
  const delivered = await store.deliver(many, noting())
  assert.ok(delivered.every(how => how === 'behind'))
  const rows = (await tasks(sql)).slice(1).map(row => row.message_id)
  assert.deepEqual(
    rows,
    many.map(({ messageId }) => messageId),
  )
  assert.equal(await openOf(sql, 'k'), 31)
})

test('the room is full when a key or the group has as much as it may', async t => {
  const { store, openStore } = await setup(t)
  const small = openStore({ perKey: 2, perGroup: 3 })
  const [one, other] = [deliveryOf(), deliveryOf({ key: Buffer.from('other') })]
  assert.equal(await small.full([one, other]), false)
  await store.park(deliveryOf(), RETRY, NEVER)
  assert.equal(await small.full([one]), false)
  await store.park(deliveryOf(), RETRY, NEVER)
  assert.equal(await small.full([other, one]), true)
  assert.equal(await small.full([other]), false)
  assert.equal(await small.full([]), false)
  await store.park(deliveryOf({ key: null }), RETRY, NEVER)
  await until(() => small.full([other]), { deadlineMs: 10_000, what: 'the group is seen as full' })
})

test('where reading begins is counted, and what was attempted when a process died is known', async t => {
  const { store } = await setup(t)
  assert.deepEqual(await store.began(PARTITION, 7n), { starts: 1, attempted: null })
  assert.deepEqual(await store.began(PARTITION, 7n), { starts: 2, attempted: null })
  assert.equal(await store.attempting(PARTITION, 8n), 1)
  assert.equal(await store.attempting(PARTITION, 9n), 1)
  const seen = { offset: 9n, starts: 1 }
  assert.deepEqual(await store.began(PARTITION, 7n), { starts: 3, attempted: seen })
  assert.equal(await store.attempting(PARTITION, 9n), 2)
  await store.ended(PARTITION)
  assert.deepEqual(await store.began(PARTITION, 7n), { starts: 4, attempted: null })
  await store.attempting(PARTITION, 9n)
  assert.deepEqual(await store.began(PARTITION, 10n), { starts: 1, attempted: null })
  await store.ended({ topic: 'never seen', partition: 3 })
})

test('an error of the store is one of the database, and tells its cause', async t => {
  const { sql, store } = await setup(t)
  await sql`drop table waiting_room.inbox`
  const isMissing = (error: unknown) =>
    error instanceof SluiceError &&
    error.code === 'database' &&
    (error.cause as { code?: unknown }).code === '42P01'
  await assert.rejects(store.deliver([deliveryOf()], noting()), isMissing)
  await assert.rejects(store.park(deliveryOf(), RETRY, NEVER), isMissing)
})

test('a commit in doubt is told as such, and the inbox knows what became of it', async t => {
  const postgres = await startOwnPostgres(t)
  await migrate({ databaseUrl: postgres.directUrl, schemas: ['outbox', 'consumer'] })
  const store = openStoreOn(t, postgres.url)
  const admin = openTransactionPool({
    url: postgres.directUrl,
    applicationName: 'admin',
    connectionsMax: 1,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 10_000,
  })
  cleanup(t, () => admin.stop())
  await admin.transaction(tx => tx`create table effects (id text not null, by text not null)`)
  const [kept, parked] = [deliveryOf(), deliveryOf()]
  for (const work of [
    () => store.deliver([kept], noting()),
    () => store.park(parked, RETRY, NEVER),
  ]) {
    const swallowed = postgres.proxy.swallowAnswers({ sql: /^commit/i })
    await assert.rejects(work(), CommitInDoubt)
    assert.equal(swallowed.bitten, 1)
  }
  assert.deepEqual(await store.deliver([kept, parked], noting()), ['duplicate', 'duplicate'])
  postgres.proxy.dropRequests({ sql: /^commit/i })
  const lost = deliveryOf({ key: null })
  await assert.rejects(store.deliver([lost], noting()), CommitInDoubt)
  assert.deepEqual(await store.deliver([lost], noting()), ['handled'])
  const rows = await admin.transaction(tx => tx`select id from effects order by id`)
  assert.deepEqual(
    rows.map(row => row.id),
    sorted(kept, lost),
  )
})
