import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startParts } from '../../src/embedded/parts.ts'
import { SluiceError } from '../../src/errors.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic, openKafka, readTopic } from '../support/kafka.ts'
import { databaseUrl, kafkaBrokers } from '../support/parts.ts'
import { until } from '../support/until.ts'

const isOptionsError = (message: RegExp) => (error: unknown) =>
  error instanceof SluiceError && error.code === 'options' && message.test(error.message)

async function send(t: { after(fn: () => Promise<void>): void }, topic: string) {
  const producer = openKafka().producer({ allowAutoTopicCreation: false })
  await producer.connect()
  t.after(() => producer.disconnect())
  return (messages: Parameters<typeof producer.send>[0]['messages']) =>
    producer.send({ topic, acks: -1, timeout: 10_000, messages })
}

test('a row that was inserted is selected again, in a database of its own', async t => {
  const one = await createDatabase(t, { migrate: false })
  const other = await createDatabase(t, { migrate: false })
  await one.sql`create table shelf (book text)`
  await one.sql`insert into shelf values ('Zettel’s Traum')`
  assert.deepEqual([...(await one.sql`select book from shelf`)], [{ book: 'Zettel’s Traum' }])
  const [found] = await other.sql`select to_regclass('shelf') as shelf`
  assert.equal(found?.shelf, null)
})

test('a created database has the outbox schema', async t => {
  const { sql } = await createDatabase(t)
  await sql`insert into outbox.events (topic, key, event_type) values ('t', 'k', 'T')`
  assert.equal((await sql`select 1 from outbox.events`).length, 1)
})

test('a database is gone after its test, whoever is connected to it', async t => {
  const { sql } = await createDatabase(t, { migrate: false })
  let name = ''
  await t.test('the test that owns it', async inner => {
    const created = await createDatabase(inner, { migrate: false })
    const [row] = await created.sql`select current_database() as name`
    name = row?.name
    const reserved = await created.sql.reserve()
    await reserved`select 1`
  })
  assert.equal((await sql`select 1 from pg_database where datname = ${name}`).length, 0)
})

test('readTopic returns exactly what was produced before the call', async t => {
  const topic = await createTopic(t, { partitions: 3 })
  const produce = await send(t, topic)
  assert.deepEqual(await readTopic(topic), [])
  const value = Buffer.from([0, 255, 128])
  await produce([
    { partition: 2, key: 'b', value, headers: { kind: 'ключ' }, timestamp: '1700000000000' },
    { partition: 0, key: null, value: 'first' },
    { partition: 0, key: '', value: null },
  ])
  const records = await readTopic(topic)
  await produce([{ partition: 1, key: 'late', value: 'late' }])
  const found = records.map(record => [record.partition, record.offset, record.key, record.value])
  assert.deepEqual(found, [
    [0, 0n, null, Buffer.from('first')],
    [0, 1n, Buffer.from(''), null],
    [2, 0n, Buffer.from('b'), value],
  ])
  assert.deepEqual(records[2]?.headers, { kind: 'ключ' })
  assert.equal(records[2]?.timestamp, 1_700_000_000_000)
  assert.deepEqual(
    (await readTopic(topic, { from: 1 })).map(({ offset }) => offset),
    [1n],
  )
})

test('readTopic sees committed transactions to their end, and no aborted ones', async t => {
  const topic = await createTopic(t)
  const producer = openKafka().producer({
    transactionalId: topic,
    maxInFlightRequests: 1,
    idempotent: true,
  })
  await producer.connect()
  t.after(() => producer.disconnect())
  for (const end of ['commit', 'abort'] as const) {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: end }] })
    await transaction[end]()
  }
  const values = (await readTopic(topic)).map(({ value }) => String(value))
  assert.deepEqual(values, ['commit'])
})

test('a topic takes the given name and settings', async t => {
  const name = `named-${process.pid}-${Date.now()}`
  assert.equal(await createTopic(t, { name, config: { 'max.message.bytes': '1000' } }), name)
  const produce = await send(t, name)
  await assert.rejects(produce([{ value: 'x'.repeat(2_000) }]), /larger than the max message size/)
})

test('until fails with what did not become true, and why', async () => {
  let asked = 0
  await until(() => ++asked === 3, { deadlineMs: 5_000, what: 'asked three times' })
  const broken = () => Promise.reject(new Error('no row'))
  await assert.rejects(
    until(broken, { deadlineMs: 50, what: 'a row is there' }),
    /within 50 ms: a row is there \(no row\)/,
  )
})

test('parts that the environment gives are taken as they are', async () => {
  const env = { DATABASE_URL: databaseUrl(), KAFKA_BOOTSTRAP_SERVERS: kafkaBrokers().join(',') }
  const parts = await startParts({ env })
  assert.equal(parts.kind, 'given')
  assert.equal(parts.databaseUrl, databaseUrl())
  assert.equal(parts.kafkaBrokers, kafkaBrokers().join(','))
  assert.deepEqual(await parts.detach(), [])
})

test('an environment that gives one part without the other is refused', async () => {
  await assert.rejects(
    startParts({ env: { DATABASE_URL: databaseUrl() } }),
    isOptionsError(/DATABASE_URL is set but KAFKA_BROKERS is not/),
  )
  await assert.rejects(
    startParts({ env: { KAFKA_BROKERS: 'localhost:9092', DATABASE_URL: '' } }),
    isOptionsError(/KAFKA_BROKERS is set but DATABASE_URL is not/),
  )
})

test('a way to start parts that does not exist is refused', async () => {
  await assert.rejects(
    startParts({ env: { SLUICE_INFRA: 'podman' } }),
    isOptionsError(/SLUICE_INFRA must be docker or embedded/),
  )
})

test('an embedded Kafka that cannot run is refused with the cure, although parts are given', async t => {
  const home = await mkdtemp(join(tmpdir(), 'sluice-java-'))
  t.after(() => rm(home, { recursive: true }))
  await mkdir(join(home, 'bin'))
  const old = '#!/bin/sh\necho \'openjdk version "11.0.2"\' >&2\n'
  await writeFile(join(home, 'bin', 'java'), old, { mode: 0o755 })
  await assert.rejects(
    startParts({ env: { ...process.env, SLUICE_INFRA: 'embedded', JAVA_HOME: home } }),
    (error: unknown) =>
      error instanceof SluiceError &&
      error.code === 'lifecycle' &&
      /cannot run on Java 11: install Java 17 or newer/.test(error.message),
  )
})
