import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createBus, jsonCodec, type SubscribeOptions } from '../../src/consumer/index.ts'
import { busContract } from '../contract/bus.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { readTopic } from '../support/kafka.ts'
import { type KafkaBusUnderTest, openKafkaBus } from '../support/kafka-bus.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { until } from '../support/until.ts'

busContract('the bus on Kafka', t => openKafkaBus(t))

const DEADLINE_MS = 30_000

interface Numbered {
  readonly n: number
}

interface Scene extends KafkaBusUnderTest {
  readonly topic: string
  readonly options: SubscribeOptions<Numbered>
  /** Sends `key:n` each, one after the other. */
  sendAll(...records: readonly string[]): Promise<void>
}

async function openScene(t: TestContext): Promise<Scene> {
  const under = await openKafkaBus(t)
  cleanup(t, () => under.bus.close())
  const topic = await under.createTopic()
  const options = {
    group: `group-of-${topic}`,
    topics: [topic],
    codec: jsonCodec<Numbered>(),
    retry: { baseMs: 20, maxMs: 50 },
  }
  const sendAll = async (...records: readonly string[]) => {
    for (const record of records) {
      const [key = '', n] = record.split(':')
      const headers = { event_id: record, event_type: 'Numbered' }
      await under.send({ topic, key, value: `{"n":${n}}`, headers })
    }
  }
  return { ...under, topic, options, sendAll }
}

const becomes = (what: string, predicate: () => boolean | Promise<boolean>) =>
  until(predicate, { deadlineMs: DEADLINE_MS, what })

test('what lies in Kafka is handled again, in order, when it is replayed', async t => {
  const { bus, topic, options, sendAll } = await openScene(t)
  const handled: string[] = []
  const subscription = await bus.subscribe(options, async ({ key, value }) => {
    handled.push(`${key}:${value.n}`)
  })
  await sendAll('a:1', 'b:1', 'a:2', 'b:2')
  await becomes('all is handled', () => handled.length === 4)
  const query = { topic, fromOffset: 1n, key: 'a' }
  assert.deepEqual(await subscription.replay({ ...query, dryRun: true }), {
    matched: 1,
    enqueued: 0,
  })
  assert.equal(handled.length, 4)
  const report = await subscription.replay({ topic, fromTime: new Date(0), dryRun: false })
  assert.deepEqual(report, { matched: 4, enqueued: 4 })
  await becomes('all is handled again', () => handled.length === 8)
  const again = handled.slice(4)
  assert.deepEqual(
    again.filter(each => each.startsWith('a')),
    ['a:1', 'a:2'],
  )
  assert.deepEqual(
    again.filter(each => each.startsWith('b')),
    ['b:1', 'b:2'],
  )
})

test('a query that means nothing is refused before anything is read', async t => {
  const { bus, topic, options } = await openScene(t)
  const subscription = await bus.subscribe(options, async () => {})
  const refused = { code: 'options' }
  await assert.rejects(
    subscription.replay({ topic: 'other', fromOffset: 0n, dryRun: true }),
    refused,
  )
  await assert.rejects(subscription.replay({ topic, dryRun: true }), refused)
  const both = { topic, fromOffset: 0n, toOffset: 1n, toTime: new Date(), dryRun: true }
  await assert.rejects(subscription.replay(both), refused)
})

test('a command on the control topic is applied by the group that it names', async t => {
  const scene = await openScene(t)
  const { bus, options, sendAll, controlTopic, database } = scene
  const handled: string[] = []
  let holds = true
  await bus.subscribe(options, async ({ key, value }) => {
    if (holds) return { kind: 'hold', reason: 'to be looked at' }
    handled.push(`${key}:${value.n}`)
    return { kind: 'done' }
  })
  await sendAll('a:1', 'a:2')
  const held = async () => {
    const [row] = await database.sql`
      select count(*)::int as n from waiting_room.tasks where state in ('held', 'behind')`
    return row?.n === 2
  }
  await becomes('one is held and one behind it', held)
  holds = false
  const command = {
    type: 'twr.command.release',
    filter: { topic: scene.topic, key: 'a' },
    actor: 'a test',
    reason: 'it was looked at',
  }
  await scene.send({
    topic: controlTopic,
    key: 'a',
    value: JSON.stringify(command),
    headers: { event_type: command.type, 'twr-group': options.group },
  })
  await becomes('both are handled in order', () => String(handled) === 'a:1,a:2')
  const audited = await database.sql`select action, actor from outbox.audit`
  assert.deepEqual([...audited], [{ action: 'task.release', actor: 'a test' }])
})

test('every change of a task is told on the control topic, in order', async t => {
  const { bus, options, sendAll, controlTopic } = await openScene(t)
  let attempts = 0
  await bus.subscribe(options, async (_, { attempt }) => {
    attempts = attempt
    if (attempt < 3) throw new TypeError('not yet')
  })
  await sendAll('a:1')
  await becomes('it was tried three times', () => attempts === 3)
  const types = async () => (await readTopic(controlTopic)).map(({ headers }) => headers.event_type)
  const expected = ['twr.new', 'twr.retry', 'twr.completed']
  await becomes('its end is told', async () => (await types()).length === expected.length)
  assert.deepEqual(await types(), expected)
})

test('a pause holds for every member, and outlives them', async t => {
  const { bus, options, sendAll, database, controlTopic, topic } = await openScene(t)
  const handled: number[] = []
  const handler = async ({ value }: { value: Numbered }) => {
    handled.push(value.n)
  }
  const first = await bus.subscribe(options, handler)
  await first.pause({ topic }, { reason: 'a migration' })
  assert.equal(first.state, 'paused')
  await first.stop()
  const other = createBus({
    databaseUrl: database.url,
    kafka: { brokers: kafkaBrokers(), clientId: 'sluice-test-other' },
    controlTopic,
  })
  cleanup(t, () => other.close())
  const second = await other.subscribe(options, handler)
  await sendAll('a:1', 'a:2')
  await becomes('it stands still', () => second.state === 'paused')
  assert.deepEqual(handled, [])
  await second.resume({ topic })
  await becomes('it goes on', () => handled.length === 2)
  assert.deepEqual(handled, [1, 2])
})

test('what failed is published to the retry topic and handled from there, where order is not wanted', async t => {
  const { bus, options, sendAll, topic } = await openScene(t)
  const attempts: number[] = []
  await bus.subscribe(
    { ...options, order: 'none', redeliver: 'reproduce', missingTopic: 'create' },
    async (_, { attempt }) => {
      attempts.push(attempt)
      if (attempt < 3) throw new Error('not yet')
    },
  )
  await sendAll('a:1')
  await becomes('the third attempt', () => attempts.length === 3)
  assert.deepEqual(attempts, [1, 2, 3])
  const retryTopic = `${topic}.${options.group}.retry`
  t.diagnostic(retryTopic)
})

test('an inbox that would forget sooner than the topic is refused', async t => {
  const { bus, options } = await openScene(t)
  await assert.rejects(
    bus.subscribe({ ...options, inboxRetentionMs: 60_000 }, async () => {}),
    {
      code: 'options',
      message: /inboxRetentionMs is 60000, but the topics keep records for \d+ ms/,
    },
  )
})

test('a database without the schema is refused with the cure', async t => {
  const { url } = await createDatabase(t)
  const bus = createBus({ databaseUrl: url, kafka: { brokers: kafkaBrokers() } })
  cleanup(t, () => bus.close())
  const options = { group: 'g', topics: ['t'], codec: jsonCodec() }
  await assert.rejects(
    bus.subscribe(options, async () => {}),
    {
      code: 'schema',
      message: /sluice migrate outbox consumer/,
    },
  )
})

test('a topic that is missing fails the subscription, which leaves nothing open', async t => {
  const { bus, options } = await openScene(t)
  await assert.rejects(
    bus.subscribe({ ...options, topics: ['missing_topic'] }, async () => {}),
    {
      code: 'options',
      message: /missing_topic/,
    },
  )
})

test('what waits behind others is dropped once its time is over', async t => {
  const { bus, options, send, sendAll, topic, database } = await openScene(t)
  const handled: number[] = []
  const subscription = await bus.subscribe(options, async ({ value }) => {
    if (value.n === 1 && handled.length === 0) return { kind: 'hold', reason: 'later' }
    handled.push(value.n)
    return { kind: 'done' }
  })
  await sendAll('a:1')
  const states = async () => {
    const rows = await database.sql`select state from waiting_room.tasks order by id`
    return rows.map(({ state }) => state).join()
  }
  await becomes('the first is held', async () => (await states()) === 'held')
  const expiresAt = new Date(Date.now() + 1_000).toISOString()
  const headers = { event_id: 'mortal', event_type: 'Numbered', 'twr-expires-at': expiresAt }
  await send({ topic, key: 'a', value: '{"n":2}', headers })
  await becomes('the second waits behind it', async () => (await states()) === 'held,behind')
  await becomes('the second has expired', async () => (await states()) === 'held,expired')
  await subscription.stop()
  assert.deepEqual(handled, [])
})
