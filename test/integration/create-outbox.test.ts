import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOutbox } from '../../src/create-outbox.ts'
import { SluiceError } from '../../src/errors.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { testOptions } from '../support/relay.ts'
import { until } from '../support/until.ts'

const codeOf = (code: string) => (error: unknown) =>
  error instanceof SluiceError && error.code === code

test('an application embeds the relay: create, start, publish, stop', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t)
  const outbox = createOutbox({ config: testOptions(url) })
  cleanup(t, () => outbox.stop())
  await outbox.start()
  await sql`select outbox.enqueue(${topic}, 'k', 'T', '1')`
  await until(async () => (await readTopic(topic)).length === 1, {
    deadlineMs: 20_000,
    what: 'the event is in Kafka',
  })
  await outbox.stop()
  await outbox.stop()
  await outbox.completed
  const [row] = await sql`select count(*)::int as owned from outbox.lanes where owner is not null`
  assert.equal(row?.owned, 0)
})

test('an outbox is started once', async t => {
  const { url } = await createDatabase(t)
  const outbox = createOutbox({ config: testOptions(url) })
  cleanup(t, () => outbox.stop())
  await outbox.start()
  await assert.rejects(outbox.start(), codeOf('lifecycle'))
})

test('a stop before the start, or while the database is still waited for, ends at once', async () => {
  const unreachable = testOptions('postgres://nobody@127.0.0.1:1/none')
  await createOutbox({ config: unreachable }).stop()
  const outbox = createOutbox({ config: unreachable })
  const starting = outbox.start()
  await outbox.stop()
  await assert.rejects(starting, codeOf('database'))
})

test('a database without the schema is refused, and the error names the cure', async t => {
  const { url } = await createDatabase(t, { migrate: false })
  const outbox = createOutbox({ config: testOptions(url) })
  await assert.rejects(
    outbox.start(),
    (error: unknown) => codeOf('schema')(error) && /sluice migrate/.test((error as Error).message),
  )
})

test('a wrong password is told at once, without waiting for the database to come up', async t => {
  const { url } = await createDatabase(t)
  const wrong = new URL(url)
  wrong.password = 'wrong'
  const warnings: string[] = []
  const silent = () => {}
  const warn = (_: object, message: string) => warnings.push(message)
  const logger = { debug: silent, info: silent, error: silent, warn }
  const outbox = createOutbox({ config: testOptions(wrong.href), logger })
  await assert.rejects(outbox.start(), error => {
    assert.ok(codeOf('database')(error))
    assert.doesNotMatch(JSON.stringify(error), /wrong/)
    return true
  })
  assert.deepEqual(warnings, [], 'it did not begin to wait')
})

test('bad options are refused before anything is opened, all of them in one message', () => {
  assert.throws(
    () =>
      createOutbox({
        config: { ...testOptions('postgres://x@127.0.0.1/x'), batchSize: 0, slots: -1 },
      }),
    (error: unknown) => {
      assert.ok(codeOf('options')(error))
      assert.match((error as Error).message, /batchSize/)
      assert.match((error as Error).message, /slots/)
      return true
    },
  )
})
