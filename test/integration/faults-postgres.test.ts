import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import postgres from 'postgres'
import { withDeadline } from '../../src/internal/deadline.ts'
import { type OwnPostgres, startOwnPostgres } from '../chaos/faults/own-postgres.ts'
import { cleanup } from '../support/cleanup.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 20_000
const HANG_MS = 500
const SMALL_DISK_BYTES = 96 * 1024 * 1024

/** A client of one connection that names itself. */
function open(t: TestContext, url: string): postgres.Sql {
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 3,
    fetch_types: false,
    backoff: () => 0.05,
    onnotice: () => {},
    connection: { application_name: 'faults test' },
  })
  cleanup(t, () => sql.end({ timeout: 0 }))
  return sql
}

let tables = 0

/** A table of one number, a client through the proxy and one past it. */
async function setup(t: TestContext, server: OwnPostgres) {
  cleanup(t, () => server.heal())
  const sql = open(t, server.url)
  const direct = open(t, server.directUrl)
  const name = `events_${++tables}`
  const table = sql(name)
  await sql`create table ${table} (id int)`
  const ids = async () => (await direct`select id from ${table} order by id`).map(({ id }) => id)
  return { sql, name, table, ids, proxy: server.proxy }
}

async function elapsedMs(work: PromiseLike<unknown>): Promise<number> {
  const startMs = performance.now()
  await work
  return performance.now() - startMs
}

const passed = () => true

async function hangs(work: PromiseLike<unknown>): Promise<void> {
  await assert.rejects(
    withDeadline(work, HANG_MS, () => new Error('no answer')),
    /no answer/,
  )
}

test('a server behind a proxy', async t => {
  const server = await startOwnPostgres(t, { settings: { wal_writer_delay: '10s' } })
  t.diagnostic(`started in ${server.startedInMs} ms`)

  await t.test('latency and bandwidth delay each answer until they are healed', async t => {
    const { sql, proxy } = await setup(t, server)
    await sql`select 1`
    proxy.latency({ ms: 250, jitterMs: 10 })
    const lateMs = await elapsedMs(sql`select 1`)
    assert.ok(lateMs >= 470, `took ${lateMs} ms`)
    proxy.heal('latency')
    proxy.slow({ bytesPerSecond: 100_000 })
    const slowMs = await elapsedMs(sql`select repeat('x', 100000)`)
    assert.ok(slowMs >= 850, `took ${slowMs} ms`)
    proxy.heal()
    const { latency, slow } = proxy.bites
    assert.ok(latency >= 2 && slow > 5)
    await sql`select repeat('x', 100000)`
    assert.deepEqual([proxy.bites.latency, proxy.bites.slow], [latency, slow], 'all is as before')
  })

  await t.test('a black hole hangs a statement, and its healing delivers it', async t => {
    const { sql, table, ids, proxy } = await setup(t, server)
    proxy.blackHole()
    const insert = sql`insert into ${table} values (1)`.execute()
    await hangs(insert)
    await hangs(open(t, server.url)`select 1`)
    assert.deepEqual(await ids(), [])
    assert.ok(proxy.bites.blackHole >= 2)
    proxy.heal()
    await insert
    assert.deepEqual(await ids(), [1])
  })

  await t.test('a reset breaks what is in flight, a refusal what is new', async t => {
    const { sql, proxy } = await setup(t, server)
    const sleep = sql`select pg_sleep(20)`.execute()
    sleep.catch(() => {})
    assert.ok(proxy.reset() >= 1)
    await assert.rejects(sleep, /ECONNRESET|CONNECTION_CLOSED/)
    for (const how of ['reset', 'end'] as const) {
      const refused = proxy.bites.refuse
      proxy.refuse({ how })
      const asked = open(t, server.url)`select 1`.execute()
      asked.catch(() => {})
      await until(() => proxy.bites.refuse > refused, { deadlineMs: DEADLINE_MS, what: how })
      proxy.heal('refuse')
      // Some refusals end the statement, after others the driver tries again: settled it is either way.
      await until(() => asked.then(passed, passed), { deadlineMs: DEADLINE_MS, what: 'it settles' })
    }
    assert.equal((await open(t, server.url)`select 1`).length, 1)
  })

  await plannedFaults(t, server)
  await serverFaults(t, server)
})

async function plannedFaults(t: TestContext, server: OwnPostgres): Promise<void> {
  await t.test('a swallowed answer: the delete is done and its client cannot know', async t => {
    const { sql, table, ids, proxy } = await setup(t, server)
    await sql`insert into ${table} values (1), (2), (3)`
    // The second time it is a prepared statement that is only executed.
    const remove = (id: number) => sql`delete from ${table} where id = ${id}`
    await remove(1)
    const plan = proxy.swallowAnswers({ sql: /^delete from/ })
    await assert.rejects(Promise.resolve(remove(2)), /ECONNRESET|CONNECTION_CLOSED/)
    assert.equal(plan.bitten, 1)
    assert.deepEqual(await ids(), [3])
    await remove(3)
    assert.deepEqual(await ids(), [])
    assert.equal(proxy.bites.swallow, 1)
  })

  await t.test('a swallowed answer takes none of the statements sent before it', async t => {
    const { sql, name, ids, proxy } = await setup(t, server)
    proxy.swallowAnswers({ sql: /values \(2\)/ })
    const sent = [1, 2].map(id => sql.unsafe(`insert into ${name} values (${id})`))
    const outcomes = await Promise.allSettled(sent)
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    )
    assert.deepEqual(await ids(), [1, 2])
  })

  await t.test('a swallowed commit is a commit', async t => {
    const { sql, table, ids, proxy } = await setup(t, server)
    const plan = proxy.swallowAnswers({ sql: /^commit/i })
    const work = sql.begin(tx => tx`insert into ${table} values (1)`)
    await assert.rejects(work, /ECONNRESET|CONNECTION_CLOSED/)
    assert.equal(plan.bitten, 1)
    assert.deepEqual(await ids(), [1])
  })

  await t.test('a dropped statement is never carried out', async t => {
    const { sql, table, ids, proxy } = await setup(t, server)
    const plan = proxy.dropRequests({ sql: /^insert into/, every: 2 })
    const insert = (id: number) => sql`insert into ${table} values (${id}::int)`.execute()
    await insert(1)
    await assert.rejects(insert(2), /ECONNRESET|CONNECTION_CLOSED/)
    // A statement given to postgres.js between a socket's error and its close would never settle.
    assert.deepEqual(await ids(), [1])
    await insert(3)
    assert.deepEqual(await ids(), [1, 3])
    assert.equal(plan.bitten, 1)
  })
}

async function serverFaults(t: TestContext, server: OwnPostgres): Promise<void> {
  await t.test('backends are terminated by the name of their application', async t => {
    const { sql } = await setup(t, server)
    const sleep = sql`select pg_sleep(20)`.execute()
    sleep.catch(() => {})
    await until(async () => (await server.terminateBackends('faults t%')) > 0, {
      deadlineMs: DEADLINE_MS,
      what: 'a backend is terminated',
    })
    await assert.rejects(sleep)
    assert.equal(await server.terminateBackends('nobody%'), 0)
  })

  await t.test('frozen it answers nothing; thawed it goes on', async t => {
    const { sql } = await setup(t, server)
    await server.freeze()
    const asked = sql`select 1`.execute()
    await hangs(asked)
    server.thaw()
    assert.equal((await asked).length, 1)
  })

  await t.test('an immediate stop loses a commit that did not wait for the WAL', async t => {
    const { sql, table, ids } = await setup(t, server)
    await sql`insert into ${table} values (1)`
    await sql.begin(async tx => {
      await tx`set local synchronous_commit = off`
      await tx`insert into ${table} values (2)`
    })
    assert.deepEqual(await ids(), [1, 2])
    await server.restart('immediate')
    assert.deepEqual([...(await open(t, server.directUrl)`select id from ${table}`)], [{ id: 1 }])
  })

  await t.test('after each kind of stop it comes back on its port', async t => {
    const { name } = await setup(t, server)
    for (const mode of ['fast', 'kill'] as const) {
      await server.stop(mode)
      assert.equal(server.running, false)
      await assert.rejects(async () => open(t, server.directUrl)`select 1`, /ECONNREFUSED/)
      await server.start({ settings: { max_connections: '17' } })
      const [row] = await open(t, server.url)`
        select current_setting('max_connections') as most, to_regclass(${name}) as kept`
      assert.equal(row?.most, '17')
      assert.ok(row?.kept)
    }
  })

  await t.test('a standby follows, and takes writes once it is promoted', async t => {
    const { sql, table } = await setup(t, server)
    const standby = await server.addStandby()
    t.diagnostic(`copied and started in ${standby.startedInMs} ms`)
    await sql`insert into ${table} values (1)`
    await standby.caughtUp({ deadlineMs: DEADLINE_MS })
    const copy = open(t, standby.url)
    assert.deepEqual([...(await copy`select id from ${table}`)], [{ id: 1 }])
    const insert = () => copy`insert into ${table} values (2)`.execute()
    await assert.rejects(insert(), { code: '25006' })
    await server.stop('kill')
    await standby.promote()
    await insert()
    const [row] = await copy`select pg_is_in_recovery() as recovering`
    assert.equal(row?.recovering, false)
  })
}

test('a full disk refuses rows, and takes them again when there is room', async t => {
  const server = await startOwnPostgres(t, { diskBytesMax: SMALL_DISK_BYTES })
  const { sql, table } = await setup(t, server)
  const fill = () => sql`insert into ${table} select * from generate_series(1, 100000)`.execute()
  await server.fillDisk()
  await assert.rejects(fill(), { code: '53100' })
  await server.freeDisk()
  await fill()
})
