import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { describeError, SluiceError } from '../../src/errors.ts'
import { bindCluster, checkInstallation } from '../../src/outbox/installation.ts'
import { Database } from '../../src/postgres/database.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'

function open(t: TestContext, url: string): Database {
  const database = new Database({
    url,
    applicationName: 'installation test',
    connectionsMax: 2,
    statementTimeoutMs: 10_000,
  })
  cleanup(t, () => database.stop())
  return database
}

const keep = { adopt: false, actor: 'test' }
const adopt = { adopt: true, actor: 'test' }

test('a new outbox is bound to its server and database at the first start, and found again', async t => {
  const { url, sql } = await createDatabase(t)
  const database = open(t, url)
  const first = await checkInstallation(database, keep)
  const [row] = await sql`
    select c.system_identifier::text as system, d.oid::text as oid
    from pg_control_system() c, pg_database d where d.datname = current_database()`
  assert.deepEqual(first, {
    systemIdentifier: row?.system,
    databaseOid: row?.oid,
    kafkaClusterId: null,
  })
  assert.deepEqual(await checkInstallation(database, keep), first)
})

test('a copied database is refused with the cure, until it is adopted; that is audited', async t => {
  const { url, sql } = await createDatabase(t)
  const database = open(t, url)
  await checkInstallation(database, keep)
  await bindCluster(database, 'cluster-a')
  // What a copy finds: the binding of the original.
  await sql`update outbox.installation set database_oid = '1'`
  await assert.rejects(checkInstallation(database, keep), (error: unknown) => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'schema')
    assert.match(describeError(error), /looks like a copy.*--adopt/)
    return true
  })
  const adopted = await checkInstallation(database, adopt)
  assert.equal(adopted.kafkaClusterId, null, 'the cluster of the original is forgotten')
  assert.deepEqual(await checkInstallation(database, keep), adopted)
  const audit =
    await sql`select actor, action, subject->>'database_oid' as oid, rows::int from outbox.audit`
  assert.deepEqual([...audit], [{ actor: 'test', action: 'adopt', oid: '1', rows: 1 }])
})

test('the first Kafka cluster that answers is the one; another is told of it', async t => {
  const { url } = await createDatabase(t)
  const database = open(t, url)
  await checkInstallation(database, keep)
  assert.equal(await bindCluster(database, 'cluster-a'), 'cluster-a')
  assert.equal(await bindCluster(database, 'cluster-b'), 'cluster-a')
  assert.equal((await checkInstallation(database, keep)).kafkaClusterId, 'cluster-a')
})

test('what was written to the audit stays as it is', async t => {
  const { sql } = await createDatabase(t)
  await sql`insert into outbox.audit (actor, action, subject, rows) values ('a', 'b', '{}', 1)`
  await assert.rejects(sql`update outbox.audit set actor = 'c'`, /append only/)
  await assert.rejects(sql`delete from outbox.audit`, /append only/)
  await assert.rejects(sql`truncate outbox.audit`, /append only/)
})
