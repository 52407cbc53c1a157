/** What kafkajs 2.2.4 is known to trip its users with, one by one, and that our source is not caught by it. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { KafkaMessage } from 'kafkajs'
import { SluiceError } from '../../src/errors.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import { startOwnCluster } from '../chaos/faults/own-cluster.ts'
import { createTopic, openKafka } from '../support/kafka.ts'
import { committed, newSource, send, sendNumbers, startSource } from '../support/kafkajs-source.ts'
import { RecordingSink } from '../support/recording-sink.ts'
import { until } from '../support/until.ts'

const SESSION_MS = 6_000

async function longerThanASession(): Promise<void> {
  const begunMs = monotonicMs()
  const past = () => monotonicMs() - begunMs > SESSION_MS + 1_000
  await until(past, { deadlineMs: SESSION_MS + 5_000, what: 'a session is over' })
}

/** Long enough that whoever does not wait is ahead. */
async function aWhile(): Promise<void> {
  const begunMs = monotonicMs()
  await until(() => monotonicMs() - begunMs > 500, { deadlineMs: 5_000, what: 'a while is over' })
}

async function deleteBelow(topic: string, offset: string): Promise<void> {
  const admin = openKafka().admin()
  await admin.connect()
  try {
    // It deletes only of topics that it has asked about before.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
  } finally {
    await admin.disconnect()
  }
}

/** As a member that has read so far. */
async function commitOf(t: TestContext, topic: string, offset: bigint): Promise<void> {
  const { source } = await startSource(t, { topics: [topic], group: topic })
  await source.commit([{ topic, partition: 0, offset }])
  await source.stop(5_000)
}

test('T1: run() resolves although the group was not joined; start() rejects', async t => {
  const topic = await createTopic(t)
  const sink = new RecordingSink()
  const source = newSource(t, { topics: [topic], tuning: { sessionTimeoutMs: 3_000 } })
  await assert.rejects(source.start(sink), error => {
    assert.ok(error instanceof SluiceError)
    return error.code === 'broker'
  })
  assert.deepEqual(sink.told, [])
})

test('T2: failures count from the last rebalance on; the source outlives any number', async t => {
  const cluster = await startOwnCluster(t, { brokers: 1 })
  const { brokers } = cluster
  const topic = 'failures'
  const { sink } = await startSource(t, { brokers, topics: [topic], missingTopic: 'create' })
  for (let n = 1; n <= 12; n++) {
    cluster.nodes[0]!.proxy.reset()
    await send(topic, [{ value: String(n) }], cluster.directBrokers)
    await until(() => sink.values.includes(String(n)), {
      deadlineMs: 20_000,
      what: `record ${n} is read`,
    })
  }
})

test('T3: a TypeError ends a consumer for good, the process living on; the source begins anew', async t => {
  const topic = await createTopic(t)
  await sendNumbers(topic, 2)
  const sink = new RecordingSink()
  let isFirst = true
  sink.onTake = async () => {
    if (!isFirst) return
    isFirst = false
    ;(undefined as unknown as KafkaMessage).value?.toString()
  }
  await startSource(t, { topics: [topic] }, sink)
  await sink.untilRecords(4)
  assert.deepEqual(sink.values, ['0', '1', '0', '1'])
  assert.equal((sink.crashes[0] as Error).name, 'TypeError')
  assert.deepEqual(
    sink.told.map(({ kind }) => kind),
    ['assign', 'take', 'revoke', 'crashed', 'assign', 'take'],
  )
})

test('T4, T5: one slow record holds up all partitions and no heartbeat is sent; neither does here', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  const sink = new RecordingSink()
  let end = () => {}
  const slow = new Promise<void>(settle => {
    end = settle
  })
  sink.onTake = ({ partition }) => (partition === 0 ? slow : Promise.resolve())
  await sendNumbers(topic, 1, { partition: 0 })
  await startSource(t, { topics: [topic] }, sink)
  await sink.untilRecords(1)
  await longerThanASession()
  await sendNumbers(topic, 1, { partition: 1 })
  await sink.untilRecords(2, 1_000)
  end()
  await sendNumbers(topic, 1, { partition: 0 })
  await sink.untilRecords(3)
  assert.deepEqual([sink.epochs, sink.revocations], [[1], []])
})

test('T6: a pause longer than the session costs no membership, and ends within a fetch', async t => {
  const topic = await createTopic(t)
  const { source, sink } = await startSource(t, { topics: [topic] })
  source.setPaused([{ topic, partition: 0 }])
  await sendNumbers(topic, 1)
  await longerThanASession()
  assert.deepEqual(sink.records, [])
  source.setPaused([])
  await sink.untilRecords(1, 1_000)
  assert.deepEqual([sink.epochs, sink.revocations], [[1], []])
})

test('T7: pausing a partition resumes those of a topic that was paused; the whole set holds here', async t => {
  const topic = await createTopic(t, { partitions: 3 })
  const { source, sink } = await startSource(t, { topics: [topic] })
  const of = (...partitions: number[]) => partitions.map(partition => ({ topic, partition }))
  source.setPaused(of(0, 1, 2))
  source.setPaused(of(1, 2))
  source.setPaused([])
  source.setPaused(of(1))
  for (const partition of [0, 1, 2]) await sendNumbers(topic, 1, { partition })
  await sink.untilRecords(2)
  await sendNumbers(topic, 1, { partition: 0 })
  await sink.untilRecords(3)
  assert.equal(
    sink.records.some(({ partition }) => partition === 1),
    false,
  )
})

test('T8: pauses are kept for partitions that come back and lost in a crash; the set decides here', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  const group = topic
  const sink = new RecordingSink()
  const { source } = await startSource(t, { topics: [topic], group }, sink)
  source.setPaused([0, 1].map(partition => ({ topic, partition })))
  const other = await startSource(t, { topics: [topic], group })
  await sink.untilAssigned(1)
  source.setPaused([{ topic, partition: 0 }])
  await other.source.stop(5_000)
  await sink.untilAssigned(2)
  await sendNumbers(topic, 1, { partition: 0 })
  await sendNumbers(topic, 1, { partition: 1 })
  await sink.untilRecords(1)
  sink.onTake = async () => {
    sink.onTake = async () => {}
    throw new Error('a crash')
  }
  await sendNumbers(topic, 1, { partition: 1, first: 1 })
  await until(() => sink.crashes.length === 1, { deadlineMs: 10_000, what: 'it has crashed' })
  await sendNumbers(topic, 1, { partition: 1, first: 2 })
  await until(() => sink.values.includes('2'), { deadlineMs: 10_000, what: 'it goes on' })
  assert.equal(
    sink.records.some(({ partition }) => partition === 0),
    false,
  )
})

test('T9: nobody is told before a rebalance; the sink is, and can still commit', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  const group = topic
  await sendNumbers(topic, 5, { partition: 0 })
  const { source, sink } = await startSource(t, { topics: [topic], group })
  await sink.untilRecords(5)
  const order: string[] = []
  sink.onRevoke = async () => {
    await aWhile()
    await source.commit([{ topic, partition: 0, offset: 5n }])
    order.push('committed')
  }
  const other = new RecordingSink()
  other.onAssign = async () => {
    order.push('assigned to the other')
  }
  await startSource(t, { topics: [topic], group }, other)
  assert.deepEqual(sink.revocations, ['rebalance'])
  assert.deepEqual(order, ['committed', 'assigned to the other'])
  assert.deepEqual(await committed(group, topic), { 0: '5' })
})

test('T10: commits during a stop are dropped, and a stop inside a handler never ends; not here', async t => {
  const topic = await createTopic(t)
  const sink = new RecordingSink()
  const { source } = await startSource(t, { topics: [topic], group: topic }, sink)
  const stopped = new Promise<void>(settle => {
    sink.onTake = async () => {
      await source.stop(10_000)
      settle()
    }
  })
  sink.onRevoke = async () => {
    await aWhile()
    await source.commit([{ topic, partition: 0, offset: 1n }])
  }
  await sendNumbers(topic, 1)
  const begunMs = monotonicMs()
  await stopped
  assert.ok(monotonicMs() - begunMs < 8_000)
  assert.deepEqual(await committed(topic, topic), { 0: '1' })
})

test('T11: where records were deleted it jumps to the end in silence; the sink is told, nothing kept is skipped', async t => {
  const topic = await createTopic(t)
  const group = topic
  await sendNumbers(topic, 10)
  await commitOf(t, topic, 2n)
  await deleteBelow(topic, '5')
  const { source, sink } = await startSource(t, { topics: [topic], group, from: 'latest' })
  await sink.untilRecords(5)
  const partition = { topic, partition: 0 }
  const told = () => sink.told.filter(({ kind }) => kind === 'outOfRange')
  assert.deepEqual(told(), [{ kind: 'outOfRange', partition, position: 2n }])
  assert.deepEqual(sink.values, ['5', '6', '7', '8', '9'])
  assert.deepEqual(await committed(group, topic), { 0: '2' })
  source.setPaused([partition])
  await sendNumbers(topic, 10, { first: 10 })
  await deleteBelow(topic, '15')
  source.setPaused([])
  await sink.untilRecords(10)
  assert.deepEqual(told()[1], { kind: 'outOfRange', partition, position: 10n })
  assert.equal(sink.values[5], '15')
  await source.commit([{ ...partition, offset: 20n }])
  assert.deepEqual(await committed(group, topic), { 0: '20' })
})

test('T11: a position behind the end is met by reading what there is', async t => {
  const topic = await createTopic(t)
  await sendNumbers(topic, 3)
  await commitOf(t, topic, 100n)
  const { source, sink } = await startSource(t, { topics: [topic], group: topic, from: 'latest' })
  await sink.untilRecords(3)
  await source.commit([{ topic, partition: 0, offset: 3n }])
  assert.deepEqual(await committed(topic, topic), { 0: '3' })
})

test('T12: reading on is no commit; what was not committed comes again, from the next offset on', async t => {
  const topic = await createTopic(t)
  const group = topic
  await sendNumbers(topic, 3)
  const { source, sink } = await startSource(t, { topics: [topic], group })
  await sink.untilRecords(3)
  await sendNumbers(topic, 1, { first: 3 })
  await sink.untilRecords(4)
  assert.deepEqual(await committed(group, topic), {})
  await source.commit([{ topic, partition: 0, offset: 2n }])
  await source.stop(5_000)
  const second = await startSource(t, { topics: [topic], group })
  await second.sink.untilRecords(2)
  assert.deepEqual(second.sink.values, ['2', '3'])
})

test('T13: "latest" is looked up at the first fetch, and again until a commit; here once, at the join', async t => {
  const topic = await createTopic(t)
  const group = topic
  await sendNumbers(topic, 5)
  const first = newSource(t, { topics: [topic], group, from: 'latest' })
  const sink = new RecordingSink()
  sink.onAssign = () => send(topic, [{ value: 'while joining' }])
  await first.start(sink)
  await send(topic, [{ value: 'at once' }])
  await sink.untilRecords(2)
  assert.deepEqual(sink.values, ['while joining', 'at once'])
  await first.stop(5_000)
  await send(topic, [{ value: 'between' }])
  const second = await startSource(t, { topics: [topic], group, from: 'latest' })
  await second.sink.untilRecords(3)
  assert.deepEqual(second.sink.values, ['while joining', 'at once', 'between'])
})
