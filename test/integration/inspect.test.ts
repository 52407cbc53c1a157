import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, logLevel, type Message } from 'kafkajs'
import * as inspect from '../../src/cli/inspect.ts'
import { runCommand } from '../support/command.ts'
import { createTopic } from '../support/kafka.ts'
import { kafkaBrokers } from '../support/parts.ts'

const kafka = new Kafka({
  brokers: kafkaBrokers(),
  clientId: 'inspect-test',
  logLevel: logLevel.NOTHING,
})

const sluice = (...args: string[]) => runCommand(inspect, '', ['inspect', ...args])

async function messages(...args: string[]) {
  const { code, stdout, stderr } = await sluice('messages', ...args, '--json')
  assert.deepEqual([code, stderr], [0, ''])
  const read = JSON.parse(stdout)
  return { ...read, places: read.messages.map(placeOf) } as {
    messages: Record<string, unknown>[]
    places: string[]
    scanned: number
    stopped: string | null
  }
}

function placeOf({ partition, offset }: { partition: number; offset: number }): string {
  return `${partition}/${offset}`
}

async function send(topic: string, given: readonly Message[]): Promise<void> {
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  try {
    await producer.send({ topic, messages: [...given] })
  } finally {
    await producer.disconnect()
  }
}

/** `count` records in each of these partitions; their keys are k0, k1, … */
async function fill(topic: string, partitions: number, count: number): Promise<void> {
  const all = Array.from({ length: partitions * count }, (_, n) => ({
    partition: n % partitions,
    key: `k${n}`,
    value: `${n}`,
    timestamp: String(1_700_000_000_000 + n),
  }))
  await send(topic, all)
}

async function groups(): Promise<string[]> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return (await admin.listGroups()).groups.map(({ groupId }) => groupId)
  } finally {
    await admin.disconnect()
  }
}

test('a record is shown with key, headers and payload', async t => {
  const topic = await createTopic(t)
  const headers = { event_id: 'e1', twice: ['a', 'b'] }
  await send(topic, [
    { key: 'order-17', value: '{"total":1}', headers, timestamp: '1700000000000' },
  ])
  const { code, stdout } = await sluice('messages', '--topic', topic)
  assert.equal(code, 0)
  assert.match(stdout, /^partition 0 {2}offset 0 {2}2023-11-14T22:13:20.000Z {2}key "order-17"$/m)
  assert.match(
    stdout,
    /^ {2}event_id: e1\n {2}twice: a\n {2}twice: b\n {2}\(11 bytes\) {"total":1}$/m,
  )
  assert.match(stdout, /^1 record of 1 looked at\.$/m)
})

test('the newest records of all partitions are the default, and it ends by itself', async t => {
  const topic = await createTopic(t, { partitions: 3 })
  await fill(topic, 3, 20)
  const newest = await messages('--topic', topic)
  assert.deepEqual(newest.places, [
    ...['2/16', '0/17', '1/17', '2/17'],
    ...['0/18', '1/18', '2/18', '0/19', '1/19', '2/19'],
  ])
  assert.equal(newest.stopped, null)
  assert.deepEqual((await messages('--topic', topic, '--last', '2')).places, ['1/19', '2/19'])
})

test('records are read from an offset on, of one partition or of all', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  await fill(topic, 2, 30)
  const some = ['--partition', '1', '--offset', '5', '--limit', '3']
  assert.deepEqual((await messages('--topic', topic, ...some)).places, ['1/5', '1/6', '1/7'])
  const both = ['--offset', '28', '--limit', '10']
  assert.deepEqual((await messages('--topic', topic, ...both)).places, [
    '0/28',
    '1/28',
    '0/29',
    '1/29',
  ])
  const behind = await messages('--topic', topic, '--offset', '1000')
  assert.deepEqual([behind.places, behind.scanned], [[], 0])
})

test('the records of one key are found', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  await fill(topic, 2, 50)
  await send(topic, [{ partition: 1, key: 'k3', value: 'again' }])
  const found = await messages('--topic', topic, '--key', 'k3')
  assert.deepEqual(
    found.messages.map(({ value }) => value),
    ['3', 'again'],
  )
  assert.equal(found.scanned, 101)
})

test('payloads are cut unless asked for, bytes are base64, a tombstone is one', async t => {
  const topic = await createTopic(t)
  const bytes = Buffer.from([0, 255, 1])
  await send(topic, [
    { key: null, value: 'x'.repeat(5_000) },
    { key: bytes, value: bytes },
    { key: '', value: null },
  ])
  const [long, binary, tombstone] = (await messages('--topic', topic)).messages
  assert.deepEqual([String(long?.value).length, long?.value_cut, long?.key], [200, true, null])
  assert.deepEqual([binary?.value, binary?.value_encoding, binary?.key], ['AP8B', 'base64', 'AP8B'])
  assert.deepEqual([tombstone?.value, tombstone?.key], [null, ''])
  const whole = await messages('--topic', topic, '--payload')
  assert.equal(whole.messages[0]?.value, 'x'.repeat(5_000))
  assert.match((await sluice('messages', '--topic', topic)).stdout, /\(tombstone\)/)
})

test('what a producer wrote cannot command the terminal', async t => {
  const topic = await createTopic(t)
  const evil = '\u001b]0;x\u0007\u009b31m\u202e\r'
  await send(topic, [{ key: evil, value: evil, headers: { [evil]: evil } }])
  for (const more of [[], ['--payload'], ['--json']]) {
    const { stdout } = await sluice('messages', '--topic', topic, ...more)
    assert.match(stdout, /31m/)
    assert.doesNotMatch(stdout, /(?!\n)\p{Cc}|\u202e/u)
  }
})

test('records of an aborted transaction are not shown, and marks do not keep it waiting', async t => {
  const topic = await createTopic(t)
  const producer = kafka.producer({
    transactionalId: topic,
    maxInFlightRequests: 1,
    idempotent: true,
  })
  await producer.connect()
  for (const value of ['committed', 'aborted']) {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ key: 'k', value }] })
    await (value === 'aborted' ? transaction.abort() : transaction.commit())
  }
  await producer.disconnect()
  const { messages: found, stopped } = await messages('--topic', topic)
  assert.deepEqual([found.map(({ value }) => value), stopped], [['committed'], null])
})

test('no consumer group is left behind', async t => {
  const topic = await createTopic(t)
  await fill(topic, 1, 3)
  await messages('--topic', topic)
  assert.deepEqual(
    (await groups()).filter(id => id.startsWith('sluice-inspect-')),
    [],
  )
})

test('the topics are listed with partitions and records, a named one by partition', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  await fill(topic, 2, 3)
  const all = await sluice('topics')
  assert.match(all.stdout, new RegExp(`^${topic} +2 +1 +6$`, 'm'))
  assert.doesNotMatch(all.stdout, /^__/m)
  const { stdout } = await sluice('topics', topic)
  assert.match(stdout, /^1 +\d+ +1 of 1 +0 +3$/m)
  const json = JSON.parse((await sluice('topics', topic, '--json')).stdout)
  assert.deepEqual(
    json.topics[0].partitions.map(({ low, high }: { low: string; high: string }) => [low, high]),
    [
      ['0', '3'],
      ['0', '3'],
    ],
  )
})

test('a topic or partition that does not exist is told of, and no topic is made', async t => {
  const topic = await createTopic(t)
  const gone = `${topic}_gone`
  for (const args of [
    ['topics', gone],
    ['messages', '--topic', gone],
  ]) {
    const { code, stderr } = await sluice(...args)
    assert.equal(code, 1)
    assert.match(stderr, /does not host this topic-partition/)
  }
  assert.doesNotMatch((await sluice('topics')).stdout, new RegExp(gone))
  const { code, stderr } = await sluice('messages', '--topic', topic, '--partition', '7')
  assert.equal(code, 2)
  assert.match(stderr, /there is no 7/)
})

test('a cluster that is not reachable ends it with 1', async () => {
  const nowhere = { KAFKA_BROKERS: '127.0.0.1:1' }
  for (const args of [['topics'], ['messages', '--topic', 't']]) {
    const { code } = await runCommand(inspect, '', ['inspect', ...args], nowhere)
    assert.equal(code, 1)
  }
})
