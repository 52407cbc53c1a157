import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { withDeadline } from '../../src/internal/deadline.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import { KafkajsProducer, type KafkajsProducerOptions } from '../../src/kafka/kafkajs-producer.ts'
import type { Outcome, Producer } from '../../src/relay/producer.ts'
import { PublishPool } from '../../src/relay/publish-pool.ts'
import { producerContract } from '../contract/producer.ts'
import { sampleEvents } from '../contract/sample-event.ts'
import { openGate } from '../support/broker-gate.ts'
import { cleanup } from '../support/cleanup.ts'
import { createTopic, openKafka, readTopic } from '../support/kafka.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { until } from '../support/until.ts'

const REQUEST_TIMEOUT_MS = 10_000
const late = () => new Error('it took too long')
const soon = () => monotonicMs() + REQUEST_TIMEOUT_MS

function options(brokers = kafkaBrokers()): KafkajsProducerOptions {
  return {
    connection: { brokers, clientId: 'sluice-test' },
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    messageBytesMax: 900_000,
  }
}

type Open = (t: TestContext, brokers?: string[]) => Producer

const openKafkajs: Open = (t, brokers) => {
  const producer = new KafkajsProducer(options(brokers))
  cleanup(t, () => producer.close())
  return producer
}

const openPool: Open = (t, brokers) => {
  const pool = new PublishPool({ threads: 2, batchesMax: 8, producer: options(brokers) })
  cleanup(t, () => pool.close())
  return pool
}

const ways: ReadonlyArray<[string, Open]> = [
  ['kafkajs', openKafkajs],
  ['threads with kafkajs', openPool],
]

for (const [name, open] of ways) {
  producerContract(name, async t => ({
    producer: open(t),
    createTopic: partitions => createTopic(t, { partitions }),
    readTopic,
  }))

  test(`${name}: brokers that accept connections and say nothing cost no more than the deadline`, async t => {
    const gate = await openGate(t)
    gate.shut()
    const producer = open(t, [gate.broker])
    const events = sampleEvents([{ key: 'a' }, { key: 'a' }, { key: 'b' }])
    // Long enough for a thread to load its code on a busy machine.
    const publishing = producer.publish(events, monotonicMs() + 3_000)
    assertUnknown(await withDeadline(publishing, 3_500, late), ['timeout', 'key_held', 'timeout'])
    await withDeadline(producer.close(1_000), 2_000, late)
  })

  test(`${name}: brokers that are not there are the brokers’ fault, and found again`, async t => {
    const topic = await createTopic(t)
    const gate = await openGate(t)
    const producer = open(t, [gate.broker])
    await gate.close()
    const events = sampleEvents([{ topic }])
    assertUnknown(await producer.publish(events, soon()), [/./])
    await gate.reopen()
    assert.deepEqual(kindsOf(await producer.publish(events, soon())), ['acked'])
  })
}

test('of a request that the broker refuses, the events to blame are found, and they alone are refused', async t => {
  const topic = await createTopic(t, { config: { 'max.message.bytes': '20000' } })
  const tooLarge = new Set([0, 17, 18, 63])
  const events = sampleEvents(
    Array.from({ length: 64 }, (_, n) => ({
      topic,
      key: `k${n}`,
      payload: tooLarge.has(n) ? 'x'.repeat(30_000) : String(n),
    })),
  )
  const outcomes = await openKafkajs(t).publish(events, soon())
  for (const [index, outcome] of outcomes.entries()) {
    assert.equal(outcome.kind, tooLarge.has(index) ? 'rejected' : 'acked', `event ${index}`)
  }
  const stored = (await readTopic(topic)).map(record => Number(record.value))
  assert.deepEqual(
    stored,
    [...events.keys()].filter(n => !tooLarge.has(n)),
  )
})

test('a topic that is deleted and made again is found again, with its new partitions', async t => {
  const name = `remade-${randomUUID()}`
  const admin = openKafka().admin()
  cleanup(t, () => admin.disconnect())
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }], waitForLeaders: true })
  const producer = openKafkajs(t)
  const events = sampleEvents(Array.from({ length: 40 }, (_, n) => ({ topic: name, key: `k${n}` })))
  const publish = async () => kindsOf(await producer.publish(events, soon()))
  const all = (kind: string) => async () => (await publish()).every(each => each === kind)
  await until(all('acked'), { deadlineMs: 10_000, what: 'the topic is written to' })
  await admin.deleteTopics({ topics: [name] })
  await until(all('unknown'), { deadlineMs: 10_000, what: 'the topic is gone' })
  await createTopic(t, { name, partitions: 4 })
  await until(all('acked'), { deadlineMs: 10_000, what: 'the new topic is written to' })
  const partitions = new Set((await readTopic(name)).map(({ partition }) => partition))
  assert.deepEqual([...partitions], [0, 1, 2, 3])
})

test('what no event is to blame for before it was sent, such as a garbled answer, spends no attempt', async t => {
  const gate = await openGate(t)
  gate.garble()
  const producer = openKafkajs(t, [gate.broker])
  const events = sampleEvents([{ key: 'a' }, { key: 'b' }])
  assertUnknown(await producer.publish(events, monotonicMs() + 3_000), [/./, /./])
})

test('events of topics that cannot be looked up have unknown outcomes; topics that are known go on', async t => {
  const [known, other] = [await createTopic(t), await createTopic(t)]
  const gate = await openGate(t)
  const producer = openKafkajs(t, [gate.broker])
  assert.deepEqual(kindsOf(await producer.publish(sampleEvents([{ topic: known }]), soon())), [
    'acked',
  ])
  const events = sampleEvents([{ topic: known }, { topic: other }])
  for (const cut of [gate.garble, gate.close]) {
    await cut()
    const outcomes = await producer.publish(events, monotonicMs() + 3_000)
    assert.deepEqual(kindsOf(outcomes), ['acked', 'unknown'])
  }
})

test('a pool that is closed while it publishes leaves unknown outcomes, at once', async t => {
  const { pool, gate, publish } = await openHangingPool(t)
  const publishing = publish()
  await until(() => gate.connections > 0, { deadlineMs: 10_000, what: 'a thread publishes' })
  await withDeadline(pool.close(), 2_000, late)
  assertUnknown(await withDeadline(publishing, 1_000, late), ['thread_lost', 'thread_lost'])
})

test('a closed pool sends nothing more and starts no thread', async t => {
  const topic = await createTopic(t)
  const threads = threadsOf(t)
  const pool = openPool(t)
  await pool.close(1_000)
  const started = threads.length
  assertUnknown(await pool.publish(sampleEvents([{ topic }]), soon()), ['thread_lost'])
  assert.equal(threads.length, started)
  assert.deepEqual(await readTopic(topic), [])
})

test('a thread that dies leaves unknown outcomes, and the next batch is published by another', async t => {
  const threads = threadsOf(t)
  const { gate, publish } = await openHangingPool(t)
  const publishing = publish()
  await until(() => gate.connections > 0, { deadlineMs: 10_000, what: 'the thread publishes' })
  gate.open()
  await Promise.all(threads.map(thread => thread.terminate()))
  assertUnknown(await withDeadline(publishing, 2_000, late), ['thread_lost', 'thread_lost'])
  assert.deepEqual(kindsOf(await publish()), ['acked', 'acked'])
  assert.equal(threads.length, 2)
})

test('a batch that hangs holds no other one of its thread back', async t => {
  const { pool, gate, publish, known } = await openHangingPool(t)
  const publishing = publish()
  await until(() => gate.connections > 0, { deadlineMs: 10_000, what: 'the batch hangs' })
  const other = pool.publish(sampleEvents([{ topic: known }]), soon())
  assert.deepEqual(kindsOf(await withDeadline(other, 3_000, late)), ['acked'])
  await pool.close()
  assertUnknown(await publishing, ['thread_lost', 'thread_lost'])
})

test('threads that cannot start leave unknown outcomes instead of an error', async t => {
  const pool = new PublishPool({ threads: 1, batchesMax: 2, producer: { connection: null } })
  cleanup(t, () => pool.close())
  for (let batch = 0; batch < 3; batch++) {
    const publishing = pool.publish(sampleEvents([{}]), monotonicMs() + 500)
    assertUnknown(await withDeadline(publishing, 5_000, late), ['thread_lost'])
  }
})

/** A pool of one thread that knows one topic, and will hang when it looks another one up, until the gate opens. */
async function openHangingPool(t: TestContext) {
  const topic = await createTopic(t)
  const known = await createTopic(t)
  const gate = await openGate(t)
  const pool = new PublishPool({ threads: 1, batchesMax: 2, producer: options([gate.broker]) })
  cleanup(t, () => pool.close())
  assert.deepEqual(kindsOf(await pool.publish(sampleEvents([{ topic: known }]), soon())), ['acked'])
  gate.shut()
  const events = sampleEvents([{ topic }, { topic, key: 'b' }])
  return { pool, gate, known, publish: () => pool.publish(events, soon()) }
}

/** The worker threads that this process starts from now on, until the test has ended. */
function threadsOf(t: TestContext): Worker[] {
  const threads: Worker[] = []
  const listener = (worker: Worker) => threads.push(worker)
  process.on('worker', listener)
  cleanup(t, () => void process.off('worker', listener))
  return threads
}

function assertUnknown(outcomes: readonly Outcome[], codes: readonly (string | RegExp)[]): void {
  assert.equal(outcomes.length, codes.length)
  for (const [index, outcome] of outcomes.entries()) {
    assert.ok(outcome.kind === 'unknown', `the outcome is ${JSON.stringify(outcome)}`)
    const code = codes[index]!
    if (typeof code === 'string') assert.equal(outcome.code, code)
    else assert.match(outcome.code, code)
    if (outcome.code !== 'key_held')
      assert.deepEqual([outcome.fault, outcome.scope], ['broker', 'cluster'])
  }
}

function kindsOf(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(({ kind }) => kind)
}
