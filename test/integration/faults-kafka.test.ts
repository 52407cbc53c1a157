import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { withDeadline } from '../../src/internal/deadline.ts'
import { type OwnBroker, type OwnCluster, startOwnCluster } from '../chaos/faults/own-cluster.ts'
import { cleanup } from '../support/cleanup.ts'
import { readTopic } from '../support/kafka.ts'
import { until } from '../support/until.ts'

const REQUEST_TIMEOUT_MS = 1_500
const DEADLINE_MS = 60_000

let topics = 0

/** A topic of one partition, its leader, and a producer that never retries. */
async function setup(t: TestContext, cluster: OwnCluster) {
  const topic = `faults-${++topics}`
  await cluster.createTopic(topic)
  cleanup(t, () => cluster.heal())
  const leader = await leaderOf(cluster, topic)
  const open = () => openProducer(t, cluster)
  return { topic, leader, proxy: leader.proxy, producer: await open(), open }
}

async function leaderOf(cluster: OwnCluster, topic: string): Promise<OwnBroker> {
  const [leader = 0] = await cluster.leaders(topic)
  return cluster.nodes[leader - 1]!
}

async function openProducer(t: TestContext, cluster: OwnCluster): Promise<Producer> {
  // Without retries kafkajs knocks at the first address alone.
  const living = cluster.nodes.filter(node => node.running && !node.frozen)
  const kafka = new Kafka({
    brokers: living.map(node => node.proxy.address),
    connectionTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    retry: { retries: 0 },
    logLevel: logLevel.NOTHING,
  })
  const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 0 } })
  cleanup(t, async () => {
    const late = () => new Error('too slow')
    await withDeadline(producer.disconnect(), REQUEST_TIMEOUT_MS, late).catch(() => {})
  })
  await producer.connect()
  return producer
}

function send(producer: Producer, topic: string, value: string) {
  return producer.send({ topic, acks: -1, messages: [{ value, partition: 0 }] })
}

/** The first send of a producer also asks for metadata: fault by fault, that is not what is meant. */
async function warm(producer: Producer, topic: string): Promise<void> {
  await send(producer, topic, 'warm')
}

async function values(topic: string): Promise<string[]> {
  const records = await readTopic(topic)
  return records.map(({ value }) => String(value)).filter(value => value !== 'warm')
}

async function elapsedMs(work: Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work
  return performance.now() - startMs
}

/** Sends with new producers until one gets through. */
async function sendAtLast(open: () => Promise<Producer>, topic: string, value: string) {
  await until(
    async () => {
      await send(await open(), topic, value)
      return true
    },
    { deadlineMs: DEADLINE_MS, what: 'a record is taken' },
  )
}

test('a cluster of three brokers behind proxies', async t => {
  const cluster = await startOwnCluster(t)
  t.diagnostic(`started in ${cluster.startedInMs} ms`)
  process.env.KAFKA_BROKERS = cluster.directBrokers.join(',')

  await t.test('latency delays each answer until it is healed', async t => {
    const { topic, proxy, producer } = await setup(t, cluster)
    await warm(producer, topic)
    proxy.latency({ ms: 400, jitterMs: 20 })
    const lateMs = await elapsedMs(send(producer, topic, 'late'))
    assert.ok(lateMs >= 760, `took ${lateMs} ms`)
    assert.ok(proxy.bites.latency >= 2)
    proxy.heal('latency')
    const { latency } = proxy.bites
    await send(producer, topic, 'soon')
    assert.equal(proxy.bites.latency, latency, 'nothing is delayed any more')
  })

  await t.test('a slow connection gets no more than its bytes a second', async t => {
    const { topic, proxy, producer } = await setup(t, cluster)
    await warm(producer, topic)
    proxy.slow({ bytesPerSecond: 100_000 })
    const slowMs = await elapsedMs(send(producer, topic, 'x'.repeat(100_000)))
    assert.ok(slowMs >= 850, `took ${slowMs} ms`)
    assert.ok(proxy.bites.slow > 5)
    proxy.heal()
    const { slow } = proxy.bites
    await send(producer, topic, 'x'.repeat(100_000))
    assert.equal(proxy.bites.slow, slow, 'nothing is slowed any more')
  })

  await t.test('a black hole answers nothing, and delivers late what it held', async t => {
    const { topic, proxy, producer } = await setup(t, cluster)
    await warm(producer, topic)
    proxy.blackHole()
    await assert.rejects(send(producer, topic, 'held'), /timed out/)
    assert.ok(proxy.connections > 0, 'connections stay open')
    assert.ok(proxy.bites.blackHole > 0)
    assert.deepEqual(await values(topic), [])
    proxy.heal()
    await until(async () => (await values(topic)).includes('held'), {
      deadlineMs: DEADLINE_MS,
      what: 'the held record arrives',
    })
  })

  await t.test('a black hole for answers lets the record be written', async t => {
    const { topic, proxy, producer } = await setup(t, cluster)
    await warm(producer, topic)
    proxy.blackHole({ direction: 'answers' })
    await assert.rejects(send(producer, topic, 'written'), /timed out/)
    assert.deepEqual(await values(topic), ['written'])
  })

  await t.test('a reset breaks what is in flight, a refusal what is new', async t => {
    const { topic, proxy, producer, open } = await setup(t, cluster)
    await warm(producer, topic)
    proxy.blackHole()
    const sent = send(producer, topic, 'lost')
    const refused = assert.rejects(sent)
    await until(() => proxy.bites.blackHole > 0, { deadlineMs: DEADLINE_MS, what: 'it is sent' })
    assert.ok(proxy.reset() >= 1)
    await refused
    proxy.heal()
    proxy.refuse()
    await assert.rejects(async () => send(await open(), topic, 'refused'))
    assert.ok(proxy.bites.reset >= 1 && proxy.bites.refuse >= 1)
    proxy.heal()
    await sendAtLast(open, topic, 'taken')
    assert.deepEqual(await values(topic), ['taken'])
  })

  await plannedFaults(t, cluster)
  await brokerFaults(t, cluster)
})

async function plannedFaults(t: TestContext, cluster: OwnCluster): Promise<void> {
  await t.test(
    'a swallowed answer: the record is written and its producer cannot know',
    async t => {
      const { topic, proxy, producer, open } = await setup(t, cluster)
      await warm(producer, topic)
      const plan = proxy.swallowAnswers({ api: 'produce', topic })
      await assert.rejects(send(producer, topic, 'unknown'))
      await plan.bites({ deadlineMs: DEADLINE_MS })
      assert.equal(proxy.bites.swallow, 1)
      await send(await open(), topic, 'after')
      assert.deepEqual(await values(topic), ['unknown', 'after'])
    },
  )

  await t.test('every second request is dropped, and only of the topic that is named', async t => {
    const { topic, proxy, open } = await setup(t, cluster)
    const plan = proxy.dropRequests({ api: 'produce', topic, every: 2, count: 2 })
    proxy.dropRequests({ api: 'produce', topic: 'another' })
    const outcomes: string[] = []
    for (const value of ['1', '2', '3', '4', '5', '6']) {
      const sent = send(await open(), topic, value)
      outcomes.push(
        await sent.then(
          () => value,
          () => 'dropped',
        ),
      )
    }
    assert.deepEqual(outcomes, ['1', 'dropped', '3', 'dropped', '5', '6'])
    assert.equal(plan.bitten, 2)
    assert.deepEqual(await values(topic), ['1', '3', '5', '6'])
  })

  await t.test('a held request lands after the retry of its producer', async t => {
    const { topic, proxy, open } = await setup(t, cluster)
    const held = proxy.holdRequests({ api: 'produce', topic, until: 'retried' })
    await assert.rejects(send(await open(), topic, 'first'))
    assert.equal(held.bitten, 1)
    assert.deepEqual(await values(topic), [])
    await send(await open(), topic, 'retry')
    await until(() => held.delivered === 1, { deadlineMs: DEADLINE_MS, what: 'it is delivered' })
    assert.deepEqual(await values(topic), ['retry', 'first'])
    assert.deepEqual([proxy.bites.hold, proxy.bites.late], [1, 1])
  })

  await t.test('a held request waits for its release', async t => {
    const { topic, proxy, open } = await setup(t, cluster)
    const held = proxy.holdRequests({ api: 'produce', topic })
    await assert.rejects(send(await open(), topic, 'first'))
    await send(await open(), topic, 'retry')
    assert.equal(held.delivered, 0)
    assert.equal(await held.release(), 1)
    assert.deepEqual(await values(topic), ['retry', 'first'])
  })
}

async function brokerFaults(t: TestContext, cluster: OwnCluster): Promise<void> {
  await t.test('leaders move, and a producer of before is told so', async t => {
    const { topic, producer, open } = await setup(t, cluster)
    await warm(producer, topic)
    const [before] = await cluster.leaders(topic)
    assert.equal(await cluster.moveLeaders(topic), 1)
    assert.notEqual((await cluster.leaders(topic))[0], before)
    await assert.rejects(send(producer, topic, 'stale'), /not the leader/)
    await send(await open(), topic, 'fresh')
  })

  await t.test('a topic takes a new limit, and goes', async t => {
    const { topic, producer } = await setup(t, cluster)
    await cluster.setTopicConfig(topic, 'max.message.bytes', '1000')
    await assert.rejects(send(producer, topic, 'x'.repeat(2_000)), /larger than the max/)
    await cluster.setTopicConfig(topic, 'max.message.bytes', undefined)
    await send(producer, topic, 'x'.repeat(2_000))
    await cluster.deleteTopic(topic)
    await assert.rejects(send(producer, topic, 'x'))
  })

  await t.test('when the leader is killed another takes over; restarted it comes back', async t => {
    const { topic, leader, open } = await setup(t, cluster)
    await leader.kill()
    assert.equal(leader.running, false)
    const overMs = await elapsedMs(sendAtLast(open, topic, 'after'))
    t.diagnostic(`taken over in ${Math.round(overMs)} ms`)
    const backMs = await elapsedMs(leader.restart())
    await cluster.healthy(topic, { deadlineMs: DEADLINE_MS })
    t.diagnostic(`restarted in ${Math.round(backMs)} ms`)
    assert.deepEqual(await values(topic), ['after'])
  })

  await t.test('when the leader is frozen its clients hang until another takes over', async t => {
    const { topic, leader, producer, open } = await setup(t, cluster)
    await warm(producer, topic)
    leader.freeze()
    assert.equal(leader.frozen, true)
    await assert.rejects(send(producer, topic, 'hangs'), /timed out/)
    const overMs = await elapsedMs(sendAtLast(open, topic, 'after'))
    t.diagnostic(`taken over in ${Math.round(overMs)} ms`)
    leader.thaw()
    await cluster.healthy(topic, { deadlineMs: DEADLINE_MS })
    const arrived = async () => (await values(topic)).includes('after')
    await until(arrived, { deadlineMs: DEADLINE_MS, what: 'the record is to be read' })
  })
}

test('one broker on a small disk: full it ends itself, healed it takes records again', async t => {
  const cluster = await startOwnCluster(t, { brokers: 1, diskBytesMax: 48 * 1024 * 1024 })
  t.diagnostic(`started in ${cluster.startedInMs} ms`)
  const [node] = cluster.nodes as [OwnBroker]
  const { topic, open } = await setup(t, cluster)
  await sendAtLast(open, topic, 'before')
  await node.fillDisk()
  await assert.rejects(async () => send(await open(), topic, 'x'.repeat(500_000)))
  await until(() => !node.running, { deadlineMs: DEADLINE_MS, what: 'the broker ends' })
  await cluster.heal()
  await sendAtLast(open, topic, 'after')
})
