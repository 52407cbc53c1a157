import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../src/errors.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import { partitionOfKey } from '../../src/kafka/partitioner.ts'
import { AirCoreFrame, publisher, topic_type } from '../../src/pubsub/index.ts'
import { cleanup } from '../support/cleanup.ts'
import { createTopic, openKafka, readTopic } from '../support/kafka.ts'
import { startOwnKafka } from '../support/own-kafka.ts'
import { configOf, configOfMissing, newConfig, owned } from '../support/pubsub.ts'
import { deleteTopic, growTopic } from '../support/topics.ts'
import { until } from '../support/until.ts'

const CORRELATION_ID = 'fedcba98-7654-3210-fedc-ba9876543210'
const TO_WORKER = { topic_type: topic_type.worker }
const TO_REPLY = { topic_type: topic_type.reply_to }

function numbered(count: number, key: string | null): AirCoreFrame[] {
  return Array.from({ length: count }, (_, n) =>
    AirCoreFrame.event({ type: 'T', key, payload: String(n) }),
  )
}

function requestTo(topic: string, partition: number): AirCoreFrame {
  const reply_to = { topic, partition }
  return AirCoreFrame.request({ type: 'T' }).with({ correlation_id: CORRELATION_ID, reply_to })
}

test('work goes to the partition of its key, and is spread when it has none', async t => {
  const settings = await newConfig(t, { worker_partitions: 4 })
  const sender = owned(t, publisher.create(settings))
  const keyed = AirCoreFrame.event({ type: 'T', key: 'order-17', payload: 'x' })
  const sent = await sender.send(keyed, TO_WORKER)
  assert.deepEqual(sent, {
    topic: settings.topics.worker,
    partition: partitionOfKey('order-17', 4),
    offset: 0n,
  })
  await Promise.all(numbered(60, null).map(frame => sender.send(frame, TO_WORKER)))
  const records = await readTopic(settings.topics.worker)
  const [record] = records.filter(({ key }) => key !== null)
  assert.equal(String(record?.key), 'order-17')
  assert.deepEqual(record?.headers, { event_id: keyed.id, event_type: 'T' })
  assert.deepEqual({ ...AirCoreFrame.fromBinary(record!.value!) }, { ...keyed })
  assert.deepEqual(new Set(records.map(({ partition }) => partition)), new Set([0, 1, 2, 3]))
  assert.equal(sender.sent, 61)
  assert.equal(sender.in_flight, 0)
})

test('a reply goes to the partition that its request names, under the correlation id', async t => {
  const settings = await newConfig(t, { reply_partitions: 3 })
  const { reply_to } = settings.topics
  const sender = owned(t, publisher.create(settings))
  const reply = AirCoreFrame.reply(requestTo(reply_to, 2), 'yes')
  assert.equal((await sender.send(reply, TO_REPLY)).partition, 2)
  assert.equal((await sender.send(reply, { ...TO_REPLY, partition: 1 })).partition, 1)
  const records = await readTopic(reply_to)
  assert.deepEqual(
    records.map(({ partition, key }) => [partition, String(key)]),
    [
      [1, CORRELATION_ID],
      [2, CORRELATION_ID],
    ],
  )
})

test('a frame for a partition or topic that is not there for it is refused, and says why', async t => {
  const elsewhere = await createTopic(t)
  const settings = await newConfig(t)
  const { reply_to } = settings.topics
  const sender = owned(t, publisher.create(settings))
  const far = AirCoreFrame.reply(requestTo(reply_to, 2))
  await assert.rejects(sender.send(far, TO_REPLY), /reply_to\.partition must be .* 0 to 1, it is 2/)
  const event = AirCoreFrame.event({ type: 'T' })
  await assert.rejects(sender.send(event, TO_REPLY), /has no reply address/)
  await assert.rejects(sender.send(event, { ...TO_WORKER, partition: -1 }), { code: 'event' })
  const other = AirCoreFrame.reply(requestTo(elsewhere, 0))
  await assert.rejects(sender.send(other, TO_REPLY), { code: 'options', message: /reply_topics/ })
  assert.equal(sender.failed, 4)
  const { connection: _connection, ...known } = settings
  const listing = owned(t, publisher.create(configOf({ ...known, reply_topics: [elsewhere] })))
  assert.equal((await listing.send(other, TO_REPLY)).topic, elsewhere)
  assert.deepEqual(await readTopic(reply_to), [])
})

test('a reply finds a partition that was added after the publisher had looked', async t => {
  const settings = await newConfig(t, { reply_partitions: 1 })
  const { reply_to } = settings.topics
  const sender = owned(t, publisher.create(settings))
  await sender.connect()
  const far = AirCoreFrame.reply(requestTo(reply_to, 3))
  await assert.rejects(sender.send(far, TO_REPLY), { code: 'event' })
  await growTopic(reply_to, 4)
  await until(async () => (await sender.send(far, TO_REPLY)).partition === 3, {
    deadlineMs: 20_000,
    what: 'it is found',
  })
})

test('frames of one key keep the order in which they were sent', async t => {
  const settings = await newConfig(t)
  const sender = owned(t, publisher.create(settings))
  const sent = await Promise.all(numbered(2_000, 'k').map(frame => sender.send(frame, TO_WORKER)))
  assert.deepEqual(
    sent.map(({ offset }) => Number(offset)),
    sent.map((_, n) => n),
  )
  const payloads = (await readTopic(settings.topics.worker)).map(({ value }) =>
    AirCoreFrame.fromBinary(value!).text(),
  )
  assert.deepEqual(
    payloads,
    sent.map((_, n) => String(n)),
  )
})

test('no more frames are on their way than the limit says, and the others wait their turn', async t => {
  const settings = await newConfig(t, { sends_max: 5 })
  const sender = owned(t, publisher.create(settings))
  let most = 0
  const sends = numbered(60, 'k').map(async frame => {
    const { offset } = await sender.send(frame, TO_WORKER)
    most = Math.max(most, sender.in_flight)
    return Number(offset)
  })
  assert.equal(sender.in_flight, 5)
  assert.deepEqual(
    await Promise.all(sends),
    sends.map((_, n) => n),
  )
  assert.ok(most <= 5, `${most}`)
  assert.equal(sender.in_flight, 0)
})

test('topics are made before the first frame, with the partitions that were asked for', async t => {
  const create_topics = { partitions: 5, replication_factor: 1 }
  const settings = configOfMissing(t, { create_topics })
  const { worker, reply_to } = settings.topics
  cleanup(t, () => deleteTopic(worker))
  cleanup(t, () => deleteTopic(reply_to))
  const [first, second] = [publisher.create(settings), publisher.create(settings)]
  owned(t, first)
  owned(t, second)
  const frame = AirCoreFrame.event({ type: 'T' })
  await Promise.all([first.send(frame, TO_WORKER), second.send(frame, TO_WORKER)])
  const admin = openKafka().admin()
  await admin.connect()
  cleanup(t, () => admin.disconnect())
  for (const topic of [worker, reply_to]) {
    await until(async () => (await admin.fetchTopicOffsets(topic)).length === 5, {
      deadlineMs: 20_000,
      what: `${topic} has five partitions`,
    })
  }
  assert.equal((await readTopic(worker)).length, 2)
})

test('a missing topic is an error that names it and the cure', async t => {
  const settings = configOfMissing(t)
  const sender = owned(t, publisher.create(settings))
  await assert.rejects(sender.send(AirCoreFrame.event({ type: 'T' }), TO_WORKER), error => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'options')
    assert.ok(error.message.includes(settings.topics.worker))
    assert.match(error.message, /create_topics/)
    return true
  })
})

test('a frame that the brokers refuse does not take others with it', async t => {
  const worker = await createTopic(t, { config: { 'max.message.bytes': '20000' } })
  const reply_to = await createTopic(t)
  const sender = owned(t, publisher.create(configOf({ topics: { worker, reply_to } })))
  const frames = numbered(10, 'k')
  frames[4] = AirCoreFrame.event({ type: 'T', key: 'k', payload: Buffer.alloc(30_000) })
  const results = await Promise.allSettled(frames.map(frame => sender.send(frame, TO_WORKER)))
  assert.deepEqual(
    results.map(({ status }) => status === 'fulfilled'),
    frames.map((_, n) => n !== 4),
  )
  const [refused] = results.filter(result => result.status === 'rejected')
  assert.equal(refused?.reason.code, 'event')
  assert.match(refused?.reason.message, /message_too_large/)
  assert.equal((await readTopic(worker)).length, 9)
})

test('closing waits for what is on its way, and nothing is taken after it', async t => {
  const settings = await newConfig(t)
  const sender = publisher.create(settings)
  const sends = numbered(200, null).map(frame => sender.send(frame, TO_WORKER))
  await sender[Symbol.asyncDispose]()
  await Promise.all(sends)
  assert.equal((await readTopic(settings.topics.worker)).length, 200)
  const late = sender.send(AirCoreFrame.event({ type: 'T' }), TO_WORKER)
  await assert.rejects(late, { code: 'lifecycle' })
  await assert.rejects(sender.connect(), { code: 'lifecycle' })
})

test('a send ends in its time when no broker answers, and at the signal', async t => {
  const nowhere = configOf({
    brokers: ['127.0.0.1:9'],
    topics: { worker: 'w', reply_to: 'r' },
    connect_timeout_ms: 300,
  })
  const sender = owned(t, publisher.create(nowhere))
  const frame = AirCoreFrame.event({ type: 'T' })
  const startedMs = monotonicMs()
  await assert.rejects(sender.send(frame, { ...TO_WORKER, timeout_ms: 200 }), {
    code: 'broker',
    retryable: true,
    message: /not confirmed within 200 ms: whether it has arrived is unknown/,
  })
  const controller = new AbortController()
  const aborted = sender.send(frame, { ...TO_WORKER, signal: controller.signal })
  controller.abort(new Error('enough'))
  await assert.rejects(aborted, /enough/)
  await assert.rejects(sender.connect(), { code: 'broker', retryable: true })
  assert.ok(monotonicMs() - startedMs < 15_000)
  const open = sender.send(frame, TO_WORKER)
  const closing = sender[Symbol.asyncDispose]()
  await assert.rejects(open, { code: 'lifecycle' })
  await closing
  assert.ok(monotonicMs() - startedMs < 25_000)
})

test('a broker that is killed and comes back gets every frame, in order, from a new session', async t => {
  const kafka = await startOwnKafka(t)
  const settings = configOf({
    brokers: kafka.brokers,
    topics: { worker: 'w', reply_to: 'r' },
    create_topics: { partitions: 1, replication_factor: 1 },
    publish_timeout_ms: 60_000,
  })
  const sender = owned(t, publisher.create(settings))
  const frames = numbered(300, 'k')
  await Promise.all(frames.slice(0, 100).map(frame => sender.send(frame, TO_WORKER)))
  const under = frames.slice(100, 200).map(frame => sender.send(frame, TO_WORKER))
  await kafka.kill()
  const down = frames.slice(200).map(frame => sender.send(frame, TO_WORKER))
  await until(() => sender.in_flight >= 100, { deadlineMs: 15_000, what: 'frames wait' })
  await kafka.restart()
  const offsets = (await Promise.all([...under, ...down])).map(({ offset }) => offset)
  for (let n = 1; n < offsets.length; n++) {
    assert.ok((offsets[n] as bigint) > (offsets[n - 1] as bigint), `frame ${n} overtook`)
  }
  assert.ok(sender.sessions > 1)
  assert.equal(sender.failed, 0)
})
