import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import * as doctor from '../../src/cli/doctor.ts'
import type { Finding } from '../../src/operator/doctor/finding.ts'
import { cleanup } from '../support/cleanup.ts'
import { runCommand } from '../support/command.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic } from '../support/kafka.ts'

async function setup(t: TestContext) {
  const { url, sql } = await createDatabase(t)
  const examine = async (env: Record<string, string> = {}, databaseUrl = url) => {
    const { code, stdout, stderr } = await runCommand(
      doctor,
      databaseUrl,
      ['doctor', '--json'],
      env,
    )
    assert.equal(stderr, '')
    const findings = JSON.parse(stdout) as Finding[]
    const of = (check: string) => findings.filter(each => each.check === check)
    const levelOf = (check: string) =>
      of(check)
        .map(({ level }) => level)
        .join()
    return { code, findings, of, levelOf }
  }
  return { url, sql, examine }
}

test('with a relay at work and nothing wrong, nothing fails', async t => {
  const { url, sql, examine } = await setup(t)
  await sql`insert into outbox.replicas (replica, version, host, alive_until) values ('r', '1', 'h', now() + interval '1 hour')`
  await sql`update outbox.lanes set owner = 'r', leased_until = now() + interval '1 hour'`
  const { code, findings } = await examine()
  // The test run's server may have fsync off.
  const wrong = findings.filter(({ level, check }) => level !== 'ok' && check !== 'durability')
  assert.deepEqual(wrong, [])
  assert.equal(code, 0)
  const { stdout } = await runCommand(doctor, url, ['doctor'])
  assert.match(stdout, /^OK {4}schema +up to date$/m)
})

test('what the outbox holds and who works on it is judged', async t => {
  const { sql, examine } = await setup(t)
  assert.equal((await examine()).levelOf('lanes'), 'fail')
  await sql`insert into outbox.replicas (replica, version, host, alive_until) values ('r', '1', 'h', now() + interval '1 hour')`
  await sql`
    insert into outbox.events (topic, key, event_type, created_at) values ('t', 'k', 'T', now() - interval '1 hour')`
  await sql`
    insert into outbox.dead_letters (
      id, lane, event_id, topic, event_type, headers, created_at, attempts, reason, error, blocks_key
    ) values (1, 0, gen_random_uuid(), 't', 'T', '{}', now(), 1, 'expired', '', true)`
  await sql`insert into outbox.breakers (replica, breaker, state, reason) values ('r', 'cluster', 'open', 'timeout')`
  await sql`insert into outbox.pauses (kind, name, reason, paused_by) values ('topic', 't', 'bad deploy', 'kim')`
  const { code, of, levelOf } = await examine()
  assert.equal(code, 1, 'the topic does not exist')
  for (const check of ['backlog', 'lanes', 'dead letters', 'breakers', 'pauses']) {
    assert.equal(levelOf(check), 'warn', check)
  }
  assert.match(of('backlog')[0]?.found ?? '', /^1 waiting, oldest due for 1\.0 h$/)
  assert.match(of('dead letters')[0]?.found ?? '', /1 of them hold their keys back/)
  assert.match(of('pauses')[0]?.found ?? '', /^topic t paused by kim .*bad deploy$/)
  assert.match(of('pauses')[0]?.cure ?? '', /sluice topics resume t --yes/)
})

test('a database that is not reachable fails, and Kafka is looked at all the same', async t => {
  const { examine } = await setup(t)
  const nowhere = 'postgres://me:hunter2@127.0.0.1:1/none'
  const { code, findings, levelOf } = await examine({}, nowhere)
  assert.equal(code, 1)
  assert.deepEqual([levelOf('database'), levelOf('kafka')], ['fail', 'ok'])
  assert.doesNotMatch(JSON.stringify(findings), /hunter2/)
})

test('Kafka that is not reachable fails, and the database is looked at all the same', async t => {
  const { examine } = await setup(t)
  const { code, levelOf } = await examine({ KAFKA_BROKERS: '127.0.0.1:1' })
  assert.equal(code, 1)
  assert.deepEqual([levelOf('kafka'), levelOf('schema')], ['fail', 'ok'])
})

test('a schema that is missing fails with the cure', async t => {
  const { url } = await createDatabase(t, { migrate: false })
  const { code, stdout } = await runCommand(doctor, url, ['doctor'])
  assert.equal(code, 1)
  assert.match(stdout, /^FAIL {2}schema +lacks 0001_outbox.*\n +→ run: sluice migrate$/m)
})

test('a copy of the outbox, or another cluster, fails', async t => {
  const { sql, examine } = await setup(t)
  await sql`
    insert into outbox.installation (system_identifier, database_oid, kafka_cluster_id)
    select system_identifier::text, (select oid::text from pg_database where datname = current_database()), 'elsewhere'
    from pg_control_system()`
  const { levelOf } = await examine()
  assert.deepEqual([levelOf('binding'), levelOf('kafka binding')], ['ok', 'fail'])
  await sql`update outbox.installation set database_oid = '1'`
  assert.equal((await examine()).levelOf('binding'), 'fail')
})

test('the topics of waiting events must exist and take what the relay sends', async t => {
  const { sql, examine } = await setup(t)
  const small = await createTopic(t, {
    config: { 'max.message.bytes': '2000', 'unclean.leader.election.enable': 'true' },
  })
  await sql`insert into outbox.events (topic, key, event_type) values (${small}, 'k', 'T'), ('__x', 'k', 'T'), ('doctor_gone', 'k', 'T')`
  const { of, levelOf } = await examine()
  assert.equal(levelOf('topic doctor_gone'), 'fail')
  assert.equal(levelOf('topic __x'), '', 'it will be a dead letter, whatever Kafka has')
  const found = of(`topic ${small}`).map(each => each.found)
  assert.ok(found.includes('replication factor 1'))
  assert.ok(found.some(text => /max\.message\.bytes 2000 is below SLUICE_MESSAGE_BYTES/.test(text)))
  assert.ok(found.some(text => /may become leader/.test(text)))
})

test('a role without the rights fails by name; what it may not look at is told', async t => {
  const { url, sql, examine } = await setup(t)
  const role = `doctor_${Math.random().toString(36).slice(2, 10)}`
  await sql.unsafe(`create role ${role} login password 'pw'`)
  cleanup(t, async () => {
    await sql.unsafe(`drop owned by ${role}`)
    await sql.unsafe(`drop role ${role}`)
  })
  await sql.unsafe(`grant usage on schema outbox to ${role}`)
  await sql.unsafe(`grant select on all tables in schema outbox to ${role}`)
  const address = new URL(url)
  address.username = role
  address.password = 'pw'
  const { of, levelOf } = await examine({}, address.href)
  assert.equal(levelOf('privileges'), 'fail')
  assert.match(of('privileges')[0]?.found ?? '', /lacks .*delete on outbox\.events/)
  assert.equal(levelOf('sessions'), 'warn', 'it would take what it cannot see for none')
  assert.equal(levelOf('backlog'), 'ok')
})

test('a transaction that writes events and stays open is found', async t => {
  const { sql, examine } = await setup(t)
  const writer = await sql.reserve()
  cleanup(t, () => writer.release())
  await writer`begin`
  await writer`insert into outbox.events (topic, key, event_type) values ('t', 'k', 'T')`
  const { of } = await examine()
  await writer`rollback`
  assert.match(of('oldest writer')[0]?.found ?? '', /^open for \d+\.\d s$/)
  assert.match(
    of('oldest snapshot')[0]?.found ?? '',
    /^session \d+ \(sluice test, idle in transaction\)/,
  )
})
