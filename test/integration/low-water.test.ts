import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import postgres from 'postgres'
import type { LaneStart } from '../../src/outbox/event-store.ts'
import { IdTable } from '../../src/outbox/id-table.ts'
import type { HeldLease } from '../../src/outbox/lane-store.ts'
import { LowWater } from '../../src/outbox/low-water.ts'
import { readStatement } from '../../src/outbox/read-events.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { Database } from '../../src/postgres/database.ts'
import { openAdapter } from '../support/adapter.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'

const KEY_LANE = sqlLaneOf('late')
const DEADLINE_MS = 30_000

function sqlLaneOf(key: string) {
  return async (sql: Sql): Promise<number> => {
    const [row] = await sql`select (hashtextextended(${key}, 0) & 63)::int as lane`
    return row?.lane as number
  }
}

function openDatabase(t: TestContext, url: string): Database {
  const database = new Database({
    url,
    applicationName: 'low water test',
    connectionsMax: 2,
    statementTimeoutMs: 30_000,
  })
  cleanup(t, () => database.stop())
  return database
}

/** A client whose one connection holds a transaction open until the test ends it. */
async function openTransaction(t: TestContext, url: string) {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  const held = await client.reserve()
  cleanup(t, () => client.end({ timeout: 1 }))
  await held`begin isolation level repeatable read`
  return held
}

async function write(sql: Sql, rows: number, key = 'k'): Promise<void> {
  await sql`
    insert into outbox.events (topic, key, event_type, payload)
    select 't', ${key} || n % 500, 'E', json_build_object('n', n) from generate_series(1, ${rows}) n`
}

/** Pages that a reading of 100 events from these starts touches, and the plan's nodes on outbox.events. */
async function explain(database: Database, starts: readonly LaneStart[]) {
  const options = { exceptTopics: ['shut'], bytesMax: 8_000_000 }
  const [row] = await database.run(
    'explaining',
    sql => sql<{ 'QUERY PLAN': [{ Plan: PlanNode }] }[]>`
      explain (analyze, buffers, format json) ${readStatement(sql, starts, 100, options)}`,
  )
  const [{ Plan: plan }] = (row as { 'QUERY PLAN': [{ Plan: PlanNode }] })['QUERY PLAN']
  return { pages: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'], nodes: nodesOf(plan) }
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
  readonly Plans?: readonly PlanNode[]
}

function nodesOf(plan: PlanNode): string[] {
  const own =
    plan['Relation Name'] === 'events' ? [`${plan['Node Type']} ${plan['Index Name']}`] : []
  return [...own, ...(plan.Plans ?? []).flatMap(nodesOf)]
}

function allLanes(fromIds: ReadonlyMap<number, bigint> = new Map()): LaneStart[] {
  return Array.from({ length: 64 }, (_, lane) => ({
    lane,
    epoch: '1',
    fromId: fromIds.get(lane) ?? 0n,
  }))
}

test('events are read by index alone, and a larger backlog costs a reading nothing', async t => {
  const { url, sql } = await createDatabase(t)
  const database = openDatabase(t, url)
  await write(sql, 2_000)
  const small = await explain(database, allLanes())
  await write(sql, 60_000)
  for (const state of ['as it grew', 'analyzed', 'with retries'] as const) {
    if (state === 'analyzed') await sql`analyze outbox.events`
    if (state === 'with retries')
      await sql`update outbox.events set attempts = 1, not_before = now() + interval '1 hour' where id < 20`
    const large = await explain(database, allLanes())
    for (const node of large.nodes)
      assert.match(node, /^Index (Only )?Scan events_(pkey|retrying)$/)
    const most = small.pages * 2 + 400
    assert.ok(large.pages <= most, `${state}: ${large.pages} pages, ${small.pages} when small`)
  }
})

test('rows that are gone but cannot be vacuumed cost a reading nothing, once the marks have moved', async t => {
  const { url, sql } = await createDatabase(t)
  const database = openDatabase(t, url)
  const reader = await openTransaction(t, url)
  await reader`select count(*) from outbox.events`
  await write(sql, 30_000)
  const { adapter, reserve } = openAdapter(t, url)
  for (let done = 0; done < 30_000; ) {
    const reservation = await reserve(2_000)
    const published = reservation.events.map(event => ({ event, partition: 0, offset: '0' }))
    done += (await adapter.confirm(reservation, published)).settled
    adapter.release(reservation)
  }
  const marks = async () => {
    const rows = await sql`select lane::int, low_water::text from outbox.lanes where low_water > 0`
    return new Map(rows.map(({ lane, low_water }) => [lane as number, BigInt(low_water as string)]))
  }
  const last = await sql`select last_value::text as id from outbox.events_id_seq`
  const beyond = async () =>
    [...(await marks()).values()].filter(m => m > BigInt(last[0]?.id)).length === 64
  await until(beyond, { deadlineMs: DEADLINE_MS, what: 'every mark has passed the last id' })
  const fromStart = await explain(database, allLanes())
  const fromMarks = await explain(database, allLanes(await marks()))
  assert.ok(fromStart.pages > 5_000, `the rows that are gone are in the way: ${fromStart.pages}`)
  assert.ok(fromMarks.pages < 500, `${fromMarks.pages} pages from the marks`)
  await reader`rollback`
  reader.release()
})

test('a mark never passes the id of a transaction that is still open, prepared ones included', async t => {
  const { url, sql } = await createDatabase(t)
  const database = openDatabase(t, url)
  const lane = await KEY_LANE(sql)
  const lease: HeldLease = { lane, epoch: '1', lowWater: 0n }
  const lowWater = new LowWater(new IdTable(database, 'test'), () => assert.fail('below the mark'))
  const late = await openTransaction(t, url)
  await late`insert into outbox.events (topic, key, event_type) values ('t', 'late', 'E')`
  const [{ id }] = (await late`select max(id)::text as id from outbox.events`) as unknown as [
    { id: string },
  ]
  await write(sql, 100)
  await sql`delete from outbox.events`
  // Five looks at the writers: each that could move the mark past the open transaction's id must not.
  const looks = countLooks(database)
  const other = new LowWater(looks.ids, () => {})
  await until(
    async () => {
      await other.advance([lease])
      return looks.count() >= 5
    },
    { deadlineMs: DEADLINE_MS, what: 'the writers have been looked at five times' },
  )
  assert.ok(other.of(lease) <= BigInt(id), `mark ${other.of(lease)}, open id ${id}`)
  await late`commit`
  late.release()
  const atItsEvent = async () => {
    await lowWater.advance([lease])
    return lowWater.of(lease) === BigInt(id)
  }
  await until(atItsEvent, { deadlineMs: DEADLINE_MS, what: 'the mark stands at the late event' })
  await sql`delete from outbox.events`
  const passed = async () => {
    await lowWater.advance([lease])
    return lowWater.of(lease) > BigInt(id)
  }
  await until(passed, { deadlineMs: DEADLINE_MS, what: 'the mark has passed the late event' })
})

function countLooks(database: Database) {
  let looks = 0
  const table = new IdTable(database, 'test')
  const ids = {
    writers: () => {
      looks++
      return table.writers()
    },
    firstIds: table.firstIds.bind(table),
    keep: table.keep.bind(table),
  }
  return { ids, count: () => looks }
}

test('the earlier event of a key that commits late goes out before the later one, wherever the mark stands', async t => {
  const { url, sql } = await createDatabase(t)
  const { adapter, reserve } = openAdapter(t, url)
  const late = await openTransaction(t, url)
  await late`insert into outbox.events (topic, key, event_type, payload) values ('t', 'late', 'E', '1')`
  const drain = async (until: (payloads: (string | null)[]) => boolean) => {
    const all: (string | null)[] = []
    while (!until(all)) {
      const reservation = await reserve(500)
      all.push(...reservation.events.filter(e => e.key === 'late').map(e => String(e.payload)))
      const published = reservation.events.map(event => ({ event, partition: 0, offset: '0' }))
      const { settled } = await adapter.confirm(reservation, published)
      adapter.release(reservation)
      rest -= settled
    }
    return all
  }
  let rest = 1_000
  await write(sql, rest)
  await drain(() => rest === 0)
  await late`commit`
  late.release()
  await sql`insert into outbox.events (topic, key, event_type, payload) values ('t', 'late', 'E', '2')`
  rest = 2
  assert.deepEqual(await drain(() => rest === 0), ['1', '2'])
})
