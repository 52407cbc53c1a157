import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monotonicMs } from '../../../src/internal/monotonic.ts'
import { faultOfWay } from '../../../src/kafka/fault.ts'
import { TopicDirectory } from '../../../src/kafka/topic-directory.ts'

const AGES_AGO_MS = 60_000

function setup() {
  const asked: string[][] = []
  const broker = { partitions: 2, down: false }
  const directory = new TopicDirectory({
    describe: async topics => {
      asked.push([...topics])
      if (broker.down) throw new Error('down')
      return { clusterId: 'one', topics: new Map(topics.map(topic => [topic, broker.partitions])) }
    },
    faultOf: error => faultOfWay('down', String(error)),
  })
  const count = async (topic: string, known?: { partitions: number; learntAtMs: number }) => {
    const others = known ? [{ topic, ...known }] : []
    const found = (await directory.partitionsOf(new Set([topic]), others)).get(topic)
    return typeof found === 'number' ? found : found?.code
  }
  return { directory, asked, broker, count }
}

test('a topic is asked for once', async () => {
  const { asked, count } = setup()
  assert.deepEqual([await count('a'), await count('a')], [2, 2])
  assert.deepEqual(asked, [['a']])
})

test('who has heard of more partitions asks again, and who has not does not', async () => {
  const { asked, broker, count } = setup()
  await count('a')
  await count('a', { partitions: 1, learntAtMs: monotonicMs() })
  assert.equal(asked.length, 1)
  broker.partitions = 3
  assert.equal(await count('a', { partitions: 3, learntAtMs: monotonicMs() }), 3)
  assert.equal(asked.length, 2)
})

test('who takes more partitions for granted asks again, each time until they are there', async () => {
  const { directory, asked, broker, count } = setup()
  await count('a')
  const least = new Map([['a', 4]])
  const first = await directory.partitionsOf(new Set(['a']), [], least)
  broker.partitions = 4
  const second = await directory.partitionsOf(new Set(['a']), [], least)
  await directory.partitionsOf(new Set(['a']), [], least)
  assert.deepEqual([first.get('a'), second.get('a'), asked.length], [2, 4, 3])
})

test('a broker that is behind another one is not believed', async () => {
  const { count } = setup()
  assert.equal(await count('a', { partitions: 3, learntAtMs: monotonicMs() }), 'partitions_behind')
})

test('a broker is believed when it names fewer partitions long after another one: the topic is a new one', async () => {
  const { count } = setup()
  assert.equal(await count('a', { partitions: 3, learntAtMs: monotonicMs() - AGES_AGO_MS }), 2)
})

test('the brokers are asked at least once, so that the cluster is known', async () => {
  const { directory, asked } = setup()
  await directory.partitionsOf(new Set())
  await directory.partitionsOf(new Set())
  assert.deepEqual([asked, directory.clusterId], [[[]], 'one'])
})

test('while no broker answers, the first question fails, and later ones only for what is not known', async () => {
  const { directory, broker, count } = setup()
  broker.down = true
  await assert.rejects(directory.partitionsOf(new Set(['a'])), /down/)
  broker.down = false
  await count('a')
  broker.down = true
  assert.deepEqual([await count('a'), await count('b')], [2, 'down'])
})
