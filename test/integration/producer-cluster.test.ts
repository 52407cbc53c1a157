import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionOfKey } from '../../src/kafka/partitioner.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import { NOTHING_KNOWN } from '../../src/relay/cluster-view.ts'
import { acked, faultsOf, kindsOf, publishUntilAcked, soon } from '../contract/producer-outcomes.ts'
import { sampleEvents } from '../contract/sample-event.ts'
import { createTopic, openKafka, readTopic } from '../support/kafka.ts'
import { CLIENTS, openInProcess, openThreads } from '../support/producers.ts'
import { growTopic } from '../support/topics.ts'
import { until } from '../support/until.ts'
import { openWireGate } from '../support/wire-gate.ts'

const OTHER_CLUSTER = 'another-cluster-entirely'

const keyed = (topic: string) =>
  sampleEvents(Array.from({ length: 20 }, (_, n) => ({ topic, key: `k${n}` })))

async function clusterId(): Promise<string> {
  const admin = openKafka().admin()
  await admin.connect()
  try {
    return (await admin.describeCluster()).clusterId
  } finally {
    await admin.disconnect()
  }
}

for (const client of CLIENTS) {
  test(`${client}: the report names the cluster and the partitions, also that of an empty batch`, async t => {
    const producer = await openInProcess(t, client)
    const id = await clusterId()
    const empty = await producer.publishKnowing([], soon(), NOTHING_KNOWN)
    assert.deepEqual(empty, { outcomes: [], view: { clusterId: id, partitions: [] } })
    const topic = await createTopic(t, { partitions: 3 })
    const { view } = await producer.publishKnowing(keyed(topic), soon(), NOTHING_KNOWN)
    assert.equal(view.clusterId, id)
    assert.deepEqual(
      view.partitions.map(({ topic: name, partitions }) => [name, partitions]),
      [[topic, 3]],
    )
  })

  test(`${client}: brokers of another cluster than the expected one are sent nothing`, async t => {
    const topic = await createTopic(t)
    const producer = await openInProcess(t, client)
    const events = sampleEvents([{ key: 'a' }, { key: 'b' }]).map(event => ({ ...event, topic }))
    const expecting = (id: string) => ({ clusterId: id, partitions: [] })
    for (let attempt = 0; attempt < 2; attempt++) {
      const { outcomes } = await producer.publishKnowing(events, soon(), expecting(OTHER_CLUSTER))
      const fault = ['wrong_cluster', 'producer', 'cluster']
      assert.deepEqual(faultsOf(outcomes), [fault, fault])
    }
    assert.deepEqual(await readTopic(topic), [])
    const { outcomes } = await producer.publishKnowing(events, soon(), expecting(await clusterId()))
    assert.deepEqual(kindsOf(outcomes), ['acked', 'acked'])
  })

  test(`${client}: whoever hears of more partitions than it knows asks before it sends`, async t => {
    const topic = await createTopic(t)
    const producer = await openInProcess(t, client)
    for (const outcome of await producer.publish(keyed(topic), soon())) acked(outcome)
    await growTopic(topic, 4)
    const grown = { topic, partitions: 4, learntAtMs: soon() }
    const events = keyed(topic)
    const known = { clusterId: null, partitions: [grown] }
    const { outcomes } = await producer.publishKnowing(events, soon(), known)
    assertPartitioned(events, outcomes.map(acked), 4)
    // From now on it knows by itself.
    assertPartitioned(events, (await producer.publish(events, soon())).map(acked), 4)
  })

  test(`${client}: brokers that know fewer partitions than another one has told of are waited for`, async t => {
    const topic = await createTopic(t)
    const producer = await openInProcess(t, client)
    const partitions = [{ topic, partitions: 2, learntAtMs: soon() }]
    const known = { clusterId: null, partitions }
    const { outcomes } = await producer.publishKnowing(sampleEvents([{ topic }]), soon(), known)
    assert.deepEqual(faultsOf(outcomes), [['partitions_behind', 'broker', 'topic']])
    assert.deepEqual(await readTopic(topic), [])
  })

  test(`threads with ${client}: once one thread has seen a topic grow, no other one uses the old count`, async t => {
    const topic = await createTopic(t)
    const gate = await openWireGate(t)
    const pool = openThreads(t, client, { brokers: [gate.broker] })
    const both = () => Promise.all([0, 1].map(() => pool.publish(keyed(topic), soon())))
    for (const outcomes of await both()) for (const outcome of outcomes) acked(outcome)
    await growTopic(topic, 4)
    // The thread that meets the fault asks anew; the other one has no reason of its own to.
    gate.swallowNextAnswer()
    assert.ok(kindsOf(await pool.publish(keyed(topic), soon())).includes('unknown'))
    const grown = async () => (await both()).flat().some(each => acked(each).partition > 0)
    await until(grown, { deadlineMs: 20_000, what: 'one thread uses the new partitions' })
    for (let round = 0; round < 10; round++) {
      for (const outcomes of await both()) assertPartitioned(keyed(topic), outcomes.map(acked), 4)
    }
  })

  test(`threads with ${client}: the pool tells of the cluster once, and holds all threads to the expected one`, async t => {
    const topic = await createTopic(t)
    const seen: string[] = []
    const pool = openThreads(t, client, { onCluster: id => seen.push(id) })
    await publishUntilAcked(pool, keyed(topic), 60_000)
    await publishUntilAcked(pool, keyed(topic), 60_000)
    assert.deepEqual(seen, [await clusterId()])
    pool.expectCluster(OTHER_CLUSTER)
    for (let batch = 0; batch < 4; batch++) {
      const outcomes = await pool.publish(keyed(topic), soon())
      assert.deepEqual(
        new Set(faultsOf(outcomes).map(([code]) => code)),
        new Set(['wrong_cluster']),
      )
    }
    assert.equal((await readTopic(topic)).length, 40)
    pool.expectCluster(await clusterId())
    await publishUntilAcked(pool, keyed(topic), 60_000)
  })
}

function assertPartitioned(
  events: readonly OutboxEvent[],
  answers: readonly { partition: number }[],
  partitions: number,
): void {
  assert.deepEqual(
    answers.map(({ partition }) => partition),
    events.map(({ key }) => partitionOfKey(key ?? '', partitions)),
  )
}
