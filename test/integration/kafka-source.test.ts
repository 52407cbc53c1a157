import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, logLevel, PartitionAssigners } from 'kafkajs'
import { describeError, SluiceError } from '../../src/errors.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import { startOwnCluster } from '../chaos/faults/own-cluster.ts'
import { openGate } from '../support/broker-gate.ts'
import { cleanup } from '../support/cleanup.ts'
import { createTopic, openKafka } from '../support/kafka.ts'
import {
  committed,
  newSource,
  send,
  sendInTransaction,
  sendNumbers,
  startSource,
} from '../support/kafkajs-source.ts'
import { uniqueName } from '../support/parts.ts'
import { RecordingSink } from '../support/recording-sink.ts'
import { deleteTopic, growTopic } from '../support/topics.ts'
import { until } from '../support/until.ts'

interface Cluster {
  refreshMetadata(): Promise<void>
  findGroupCoordinator(of: { groupId: string }): Promise<{
    leaveGroup(of: { groupId: string; memberId: string }): Promise<unknown>
  }>
}

/** Has the group's only member leave, as an administrator would. */
async function putOut(group: string): Promise<void> {
  const kafka = openKafka()
  let found: unknown
  const consumer = kafka.consumer({
    groupId: group,
    partitionAssigners: [
      given => {
        found = given.cluster
        return PartitionAssigners.roundRobin(given)
      },
    ],
  })
  const cluster = found as Cluster
  const admin = kafka.admin()
  await Promise.all([admin.connect(), consumer.connect()])
  try {
    const { groups } = await admin.describeGroups([group])
    const memberId = groups[0]!.members[0]!.memberId
    await cluster.refreshMetadata()
    const coordinator = await cluster.findGroupCoordinator({ groupId: group })
    await coordinator.leaveGroup({ groupId: group, memberId })
  } finally {
    await Promise.all([admin.disconnect(), consumer.disconnect()])
  }
}

test('a record comes as it lies in Kafka, with a name that is there twice', async t => {
  const topic = await createTopic(t)
  const headers = { one: 'a', twice: ['b', 'c'], constructor: 'd', bytes: Buffer.from([0, 255]) }
  await send(topic, [
    { key: 'k', value: 'v', headers, timestamp: '1700000000000' },
    { key: null, value: null },
  ])
  const { sink } = await startSource(t, { topics: [topic] })
  await sink.untilRecords(2)
  const [record, tombstone] = sink.records
  assert.deepEqual(
    record?.headers.map(({ name, value }) => [name, value?.toString('latin1')]),
    [
      ['one', 'a'],
      ['twice', 'b'],
      ['twice', 'c'],
      ['constructor', 'd'],
      ['bytes', '\u0000ÿ'],
    ],
  )
  assert.deepEqual([String(record?.key), String(record?.value)], ['k', 'v'])
  assert.deepEqual([record?.offset, record?.timestampMs], [0n, 1_700_000_000_000])
  assert.deepEqual([tombstone?.key, tombstone?.value, tombstone?.offset], [null, null, 1n])
  assert.equal(sink.batches[0]?.highWatermark, 2n)
})

test('every record comes once and in order, in batches that follow one another', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  for (let n = 0; n < 5; n++) {
    await sendNumbers(topic, 200, { partition: n % 2, first: n * 200 })
  }
  const { sink } = await startSource(t, {
    topics: [topic],
    tuning: { maxBytesPerPartition: 4_096 },
  })
  await sink.untilRecords(1_000)
  for (const partition of [0, 1]) {
    const batches = sink.batches.filter(each => each.partition === partition)
    let next = 0n
    for (const { records, nextOffset, epoch } of batches) {
      assert.equal(records[0]?.offset, next)
      assert.equal(records.at(-1)?.offset, nextOffset - 1n)
      assert.equal(epoch, 1)
      next = nextOffset
    }
    assert.equal(next, partition === 0 ? 600n : 400n)
  }
})

test('a group goes on where it has committed', async t => {
  const topic = await createTopic(t)
  const group = topic
  await sendNumbers(topic, 10)
  const first = await startSource(t, { topics: [topic], group })
  await first.sink.untilRecords(10)
  assert.deepEqual(first.sink.positions, [{ topic, partition: 0, committed: null }])
  await first.source.commit([{ topic, partition: 0, offset: 4n }])
  await first.source.stop(5_000)
  const second = await startSource(t, { topics: [topic], group })
  await second.sink.untilRecords(6)
  assert.deepEqual(second.sink.positions, [{ topic, partition: 0, committed: 4n }])
  assert.equal(second.sink.values[0], '4')
})

test('a partition is drained and committed before another member has it', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  const group = topic
  await sendNumbers(topic, 10, { partition: 0 })
  await sendNumbers(topic, 10, { partition: 1 })
  const order: string[] = []
  const tuning = { rebalanceTimeoutMs: 30_000 }
  const first = await startSource(t, { topics: [topic], group, tuning })
  await first.sink.untilRecords(20)
  first.sink.onRevoke = async () => {
    order.push('revoked')
    const begunMs = monotonicMs()
    // Longer than a session: the member is kept alive meanwhile.
    await until(() => monotonicMs() - begunMs > 7_000, { deadlineMs: 9_000, what: 'some time' })
    await first.source.commit([0, 1].map(partition => ({ topic, partition, offset: 7n })))
    order.push('drained')
  }
  const sink = new RecordingSink()
  sink.onAssign = async () => {
    order.push('assigned')
  }
  const second = await startSource(t, { topics: [topic], group, tuning }, sink)
  await first.sink.untilAssigned(1)
  assert.deepEqual(order, ['revoked', 'drained', 'assigned'])
  assert.deepEqual(
    second.sink.positions.map(each => each.committed),
    [7n],
  )
  await second.sink.untilRecords(3)
  assert.deepEqual(second.sink.values, ['7', '8', '9'])
  assert.deepEqual(first.sink.revocations, ['rebalance'])
  assert.deepEqual(first.sink.epochs, [1, 2])
})

test('a sink that never drains is asked to end, and then left alone', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  const group = topic
  const tuning = { rebalanceTimeoutMs: 4_000 }
  const first = await startSource(t, { topics: [topic], group, tuning })
  let asked = false
  first.sink.onRevoke = (_, signal) =>
    new Promise(() => signal.addEventListener('abort', () => (asked = true)))
  const second = await startSource(t, { topics: [topic], group, tuning })
  assert.equal(asked, true)
  assert.equal(second.sink.assigned.size, 1)
  first.sink.onRevoke = async () => {}
})

test('paused partitions stay so over rebalances, and others are resumed', async t => {
  const topic = await createTopic(t, { partitions: 3 })
  const group = topic
  const { source, sink } = await startSource(t, { topics: [topic], group })
  const paused = [{ topic, partition: 0 }]
  source.setPaused([...paused, { topic, partition: 1 }])
  source.setPaused(paused)
  const other = await startSource(t, { topics: [topic], group })
  await other.source.stop(5_000)
  await sink.untilAssigned(3)
  for (const partition of [0, 1, 2]) await sendNumbers(topic, 2, { partition })
  await sink.untilRecords(4)
  assert.equal(
    sink.records.some(({ partition }) => partition === 0),
    false,
  )
  source.setPaused([])
  await sink.untilRecords(6)
})

test('a sink without room holds up its own partition alone', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  const sink = new RecordingSink()
  let makeRoom = () => {}
  const room = new Promise<void>(settle => {
    makeRoom = settle
  })
  sink.onTake = ({ partition }) => (partition === 0 ? room : Promise.resolve())
  await sendNumbers(topic, 3, { partition: 0 })
  await startSource(t, { topics: [topic] }, sink)
  await sink.untilRecords(3)
  for (let n = 0; n < 5; n++) {
    await sendNumbers(topic, 1, { partition: 1, first: n })
    await sendNumbers(topic, 1, { partition: 0, first: 3 + n })
    await sink.untilRecords(4 + n)
  }
  assert.equal(sink.records.filter(({ partition }) => partition === 0).length, 3)
  makeRoom()
  await sink.untilRecords(13)
  const values = sink.records.filter(each => each.partition === 0).map(({ value }) => `${value}`)
  assert.deepEqual(values, ['0', '1', '2', '3', '4', '5', '6', '7'])
})

test('offsets never go back, and those of others are left out', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  const group = topic
  await sendNumbers(topic, 10, { partition: 0 })
  await sendNumbers(topic, 10, { partition: 1 })
  const first = await startSource(t, { topics: [topic], group })
  const both = (offset: bigint) => [0, 1].map(partition => ({ topic, partition, offset }))
  await first.source.commit(both(5n))
  await first.source.commit(both(3n))
  assert.deepEqual(await committed(group, topic), { 0: '5', 1: '5' })
  const second = await startSource(t, { topics: [topic], group })
  await first.sink.untilAssigned(1)
  await second.source.commit(both(8n))
  await first.source.commit(both(7n))
  const [theirs] = second.sink.positions
  const expected = theirs?.partition === 0 ? { 0: '8', 1: '7' } : { 0: '7', 1: '8' }
  assert.deepEqual(await committed(group, topic), expected)
})

test('marks of transactions and aborted records move the offset on', async t => {
  const topic = await createTopic(t)
  await sendInTransaction(topic, [{ value: 'a' }, { value: 'b' }], 'commit')
  const { source, sink } = await startSource(t, { topics: [topic], group: topic })
  await sink.untilRecords(2)
  assert.equal(sink.batches.at(-1)?.nextOffset, 3n)
  await sendInTransaction(topic, [{ value: 'c' }], 'abort')
  await until(() => sink.batches.at(-1)?.nextOffset === 5n, {
    deadlineMs: 10_000,
    what: 'the aborted record is passed',
  })
  assert.deepEqual(sink.batches.at(-1)?.records, [])
  await source.commit([{ topic, partition: 0, offset: 5n }])
  assert.deepEqual(await committed(topic, topic), { 0: '5' })
  await sendInTransaction(topic, [{ value: 'd' }], 'commit')
  await sink.untilRecords(3)
  assert.deepEqual(sink.values, ['a', 'b', 'd'])
})

test('members of one group may have different topics', async t => {
  const ours = await createTopic(t, { partitions: 2, name: uniqueName(t, 60) })
  const shared = await createTopic(t, { partitions: 2, name: uniqueName(t, 60) })
  const theirs = await createTopic(t, { partitions: 2, name: uniqueName(t, 60) })
  const group = ours
  const first = await startSource(t, { topics: [ours, shared], group })
  const second = await startSource(t, { topics: [theirs, shared], group })
  await until(() => first.sink.assigned.size + second.sink.assigned.size === 6, {
    deadlineMs: 20_000,
    what: 'every partition is somebody’s',
  })
  const of = (sink: RecordingSink, topic: string) =>
    [...sink.assigned].filter(key => key.startsWith(`${topic}/`)).length
  assert.deepEqual([of(first.sink, ours), of(second.sink, ours)], [2, 0])
  assert.deepEqual([of(first.sink, theirs), of(second.sink, theirs)], [0, 2])
  assert.deepEqual([of(first.sink, shared), of(second.sink, shared)], [1, 1])
})

test('a partition that is added later is read from its beginning', async t => {
  const topic = await createTopic(t)
  const other = await createTopic(t, { name: uniqueName(t, 60) })
  const group = topic
  const { sink } = await startSource(t, { topics: [topic], group, from: 'latest' })
  await growTopic(topic, 2)
  await sendNumbers(topic, 3, { partition: 1 })
  // A rebalance lets the leader look at the topics.
  await startSource(t, { topics: [other], group, from: 'latest' })
  await sink.untilRecords(3)
  assert.deepEqual(sink.values, ['0', '1', '2'])
})

test('a topic that is missing is told of, or made if so asked', async t => {
  const topic = uniqueName(t, 60)
  const failing = newSource(t, { topics: [topic] })
  await assert.rejects(failing.start(new RecordingSink()), error => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'options')
    assert.match(error.message, new RegExp(topic))
    return true
  })
  const { sink } = await startSource(t, { topics: [topic], missingTopic: 'create' })
  cleanup(t, () => deleteTopic(topic))
  await sendNumbers(topic, 1)
  await sink.untilRecords(1)
})

test('without a broker the start fails in its time', async t => {
  const source = newSource(t, { brokers: ['127.0.0.1:1'], topics: ['t'], joinTimeoutMs: 1_000 })
  const begunMs = monotonicMs()
  await assert.rejects(source.start(new RecordingSink()), error => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'broker')
    assert.match(describeError(error), /ECONNREFUSED|connect/)
    return true
  })
  assert.ok(monotonicMs() - begunMs < 4_000)
})

test('settings that the group refuses end the start at once', async t => {
  const topic = await createTopic(t)
  const source = newSource(t, { topics: [topic], tuning: { sessionTimeoutMs: 3_000 } })
  const begunMs = monotonicMs()
  await assert.rejects(source.start(new RecordingSink()), /not joined/)
  assert.ok(monotonicMs() - begunMs < 10_000)
})

test('a stop lets the sink commit, leaves the group, and may be asked for twice', async t => {
  const topic = await createTopic(t)
  const group = topic
  await sendNumbers(topic, 3)
  const { source, sink } = await startSource(t, { topics: [topic], group })
  await sink.untilRecords(3)
  sink.onRevoke = async () => {
    await source.commit([{ topic, partition: 0, offset: 3n }])
  }
  await Promise.all([source.stop(5_000), source.stop(5_000)])
  assert.deepEqual(sink.revocations, ['stop'])
  assert.deepEqual(await committed(group, topic), { 0: '3' })
  const admin = openKafka().admin()
  await admin.connect()
  try {
    const { groups } = await admin.describeGroups([group])
    assert.equal(groups[0]?.state, 'Empty')
  } finally {
    await admin.disconnect()
  }
  await source.commit([{ topic, partition: 0, offset: 9n }])
  assert.deepEqual(await committed(group, topic), { 0: '3' })
})

test('a stop during the start ends the start', async t => {
  const gate = await openGate(t)
  gate.shut()
  const source = newSource(t, { brokers: [gate.broker], topics: ['t'] })
  const starting = assert.rejects(source.start(new RecordingSink()), /stopped while/)
  const begunMs = monotonicMs()
  await source.stop(10_000)
  await starting
  assert.ok(monotonicMs() - begunMs < 4_000)
})

test('a stop in the middle of a rebalance ends in its time, and leaves the group', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  const group = topic
  const { source, sink } = await startSource(t, { topics: [topic], group })
  sink.onRevoke = () => new Promise(() => {})
  const starting = startSource(t, { topics: [topic], group })
  await until(() => sink.revocations.length === 1, { deadlineMs: 10_000, what: 'it drains' })
  const begunMs = monotonicMs()
  await source.stop(2_000)
  assert.ok(monotonicMs() - begunMs < 2_200)
  const { sink: other } = await starting
  await other.untilAssigned(2)
  // Sooner than its session would have ended.
  assert.ok(monotonicMs() - begunMs < 4_500)
  assert.deepEqual(sink.revocations, ['rebalance'])
})

test('a member that was put out of the group is told so, and comes back', async t => {
  const topic = await createTopic(t)
  await sendNumbers(topic, 2)
  const { source, sink } = await startSource(t, { topics: [topic], group: topic })
  await sink.untilRecords(2)
  sink.onRevoke = () => source.commit([{ topic, partition: 0, offset: 2n }]).catch(() => {})
  await putOut(topic)
  await until(() => sink.epochs.length === 2, { deadlineMs: 20_000, what: 'it has joined again' })
  assert.deepEqual([sink.revocations, sink.crashes], [['lost'], []])
  assert.deepEqual(await committed(topic, topic), {})
  await sink.untilRecords(4)
})

test('a partition that moves costs no rebalance, and a dead broker only time', async t => {
  const cluster = await startOwnCluster(t, { brokers: 3 })
  const { brokers, directBrokers } = cluster
  const topics = ['replicated', 'walking']
  await cluster.createTopic('replicated', { partitions: 3 })
  const kafka = new Kafka({ brokers: [...directBrokers], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  cleanup(t, () => admin.disconnect())
  const first = { topic: 'walking', replicaAssignment: [{ partition: 0, replicas: [1] }] }
  await admin.createTopics({ topics: [first] })
  const { sink } = await startSource(t, { brokers, topics })
  const sendToAll = async (value: string) => {
    const messages = [0, 1, 2].map(partition => ({ partition, value: `${value}/${partition}` }))
    const written = async () => {
      await send('replicated', messages, directBrokers)
      await send('walking', [{ value: `${value}/walking` }], directBrokers)
      return true
    }
    await until(written, { deadlineMs: 30_000, what: 'records are written' })
    const all = [...messages.map(each => each.value), `${value}/walking`]
    await until(() => all.every(each => sink.values.includes(each)), {
      deadlineMs: 40_000,
      what: `${value} is read`,
    })
  }
  await sendToAll('before')
  await cluster.moveLeaders('replicated')
  const second = { topic: 'walking', partitionAssignment: [{ partition: 0, replicas: [2] }] }
  await admin.alterPartitionReassignments({ topics: [second] })
  await until(async () => (await cluster.leaders('walking'))[0] === 2, {
    deadlineMs: 20_000,
    what: 'the partition has moved',
  })
  await sendToAll('moved')
  assert.deepEqual([sink.epochs, sink.crashes], [[1], []])
  await cluster.nodes[0]!.kill()
  await sendToAll('without one')
})

test('a broker that falls silent for a session takes the partitions; later it goes on', async t => {
  const cluster = await startOwnCluster(t, { brokers: 1 })
  const [node] = cluster.nodes
  const brokers = cluster.brokers
  const topic = 'silent'
  const { source, sink } = await startSource(t, {
    brokers,
    topics: [topic],
    missingTopic: 'create',
  })
  source.setPaused([{ topic, partition: 99 }])
  node!.freeze()
  await until(() => sink.crashes.length > 0, { deadlineMs: 20_000, what: 'it has crashed' })
  assert.deepEqual(sink.revocations, ['lost'])
  node!.thaw()
  await until(() => sink.epochs.length === 2, { deadlineMs: 30_000, what: 'it has joined again' })
  node!.freeze()
  const begunMs = monotonicMs()
  sink.onRevoke = () => new Promise(() => {})
  await source.stop(3_000)
  assert.ok(monotonicMs() - begunMs < 3_500)
  node!.thaw()
})

test('a broker that was away for a moment costs no session: members come back as who they were', async t => {
  const cluster = await startOwnCluster(t, { brokers: 1 })
  const [node] = cluster.nodes
  const topic = 'away'
  await cluster.createTopic(topic, { partitions: 2 })
  const group = uniqueName(t, 40)
  // Longer than the test may take: as new members, they would have to wait for the old ones' end.
  const tuning = { sessionTimeoutMs: 120_000, rebalanceTimeoutMs: 120_000 }
  const choice = { brokers: cluster.brokers, topics: [topic], group, tuning }
  const sinks = [await startSource(t, choice), await startSource(t, choice)].map(({ sink }) => sink)
  const sharedBy = () => sinks.every(({ assigned }) => assigned.size === 1)
  await until(sharedBy, { deadlineMs: 20_000, what: 'each has one partition' })
  await node!.restart()
  // Who had nothing in flight may not even notice.
  const back = () => sharedBy() && sinks.some(sink => sink.crashes.length > 0)
  await until(back, { deadlineMs: 40_000, what: 'each has one partition again' })
})
