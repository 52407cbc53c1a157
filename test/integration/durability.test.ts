import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import postgres from 'postgres'
import { describeError, SluiceError } from '../../src/errors.ts'
import { migrate } from '../../src/migrate.ts'
import { mayRing } from '../../src/outbox/doorbell.ts'
import { checkInstallation } from '../../src/outbox/installation.ts'
import { Database, type Sql } from '../../src/postgres/database.ts'
import { startOwnPostgres } from '../chaos/faults/own-postgres.ts'
import { openAdapter } from '../support/adapter.ts'
import { cleanup } from '../support/cleanup.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 20_000

function connect(t: TestContext, url: string): Sql {
  const sql = postgres(url, { max: 2, onnotice: () => {} }) as unknown as Sql
  cleanup(t, () => sql.end({ timeout: 1 }))
  return sql
}

function openDatabase(t: TestContext, url: string): Database {
  const options = {
    applicationName: 'durability test',
    connectionsMax: 2,
    statementTimeoutMs: 5_000,
  }
  const database = new Database({ url, ...options })
  cleanup(t, () => database.stop())
  return database
}

test('what a crash of the server can still lose is not handed out', async t => {
  // The server writes commits of such writers to disk ten seconds later.
  const server = await startOwnPostgres(t, { settings: { wal_writer_delay: '10s' } })
  await migrate({ databaseUrl: server.directUrl })
  const sql = connect(t, server.directUrl)
  const replica = openAdapter(t, server.url)
  await until(() => replica.holding() === 64, {
    deadlineMs: DEADLINE_MS,
    what: 'the lanes are held',
  })
  for (let n = 0; n < 10; n++) {
    const [written] = await sql.begin(async tx => {
      await tx`set local synchronous_commit = off`
      await tx`insert into outbox.events (topic, key, event_type, payload) values ('t', 'k', 'E', '1')`
      return tx`select pg_current_wal_insert_lsn()::text as lsn`
    })
    const reservation = await replica.reserve()
    const [row] = await sql`select pg_current_wal_flush_lsn() >= ${written?.lsn}::pg_lsn as safe`
    assert.equal(row?.safe, true, `event ${n} was handed out before its transaction was on disk`)
    replica.adapter.release(reservation)
    await sql`delete from outbox.events`
  }
})

test('a standby is refused, and a relay that was promoted with it goes on', async t => {
  const server = await startOwnPostgres(t)
  await migrate({ databaseUrl: server.directUrl })
  const standby = await server.addStandby()
  await standby.caughtUp({ deadlineMs: DEADLINE_MS })
  const database = openDatabase(t, standby.directUrl)
  await assert.rejects(
    checkInstallation(database, { adopt: false, actor: 'test' }),
    (e: unknown) => {
      assert.ok(e instanceof SluiceError)
      assert.match(describeError(e), /is a standby.*primary/)
      return true
    },
  )
  await server.stop('immediate')
  await standby.promote()
  await checkInstallation(database, { adopt: false, actor: 'test' })
})

test('writers are not made to ring where transactions can be prepared, unless that is asked for', async t => {
  const server = await startOwnPostgres(t, { settings: { max_prepared_transactions: '5' } })
  const database = openDatabase(t, server.directUrl)
  assert.equal(await mayRing(database, 'auto'), false)
  assert.equal(await mayRing(database, 'on'), true)
  assert.equal(await mayRing(database, 'off'), false)
})

test('while the server is away, one statement a second tries it, and the next one after it is back works', async t => {
  const server = await startOwnPostgres(t)
  const told: string[] = []
  const database = new Database({
    url: server.directUrl,
    applicationName: 'breaker test',
    connectionsMax: 2,
    statementTimeoutMs: 2_000,
    breakerResetMs: 300,
    onBreaker: state => told.push(state),
  })
  cleanup(t, () => database.stop())
  const ask = () => database.run('asking', sql => sql`select 1`)
  await ask()
  await server.stop('immediate')
  const opened = async () => {
    await ask().catch(() => {})
    return told.at(-1) === 'open'
  }
  await until(opened, { deadlineMs: DEADLINE_MS, what: 'the breaker opens' })
  await assert.rejects(ask(), error => /not tried/.test(describeError(error)))
  await server.start()
  const back = async () => (await ask()).length === 1
  await until(back, { deadlineMs: DEADLINE_MS, what: 'the server is found again' })
  assert.equal(told.at(-1), 'closed')
})
