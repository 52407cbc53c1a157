import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as inspect from '../../src/cli/inspect.ts'
import type { GroupLagList } from '../../src/operator/group-lag.ts'
import { runCommand } from '../support/command.ts'
import { createTopic } from '../support/kafka.ts'
import { sendNumbers, startSource } from '../support/kafkajs-source.ts'

const lag = (...args: string[]) => runCommand(inspect, '', ['inspect', 'lag', ...args])

async function read(...groups: string[]): Promise<GroupLagList> {
  const { code, stdout, stderr } = await lag(...groups, '--json')
  assert.deepEqual([code, stderr], [0, ''])
  return JSON.parse(stdout) as GroupLagList
}

test('the lag of a group is told by partition, with who reads it', async t => {
  const topic = await createTopic(t, { partitions: 2 })
  await sendNumbers(topic, 10, { partition: 0 })
  await sendNumbers(topic, 5, { partition: 1 })
  const { source, sink } = await startSource(t, { topics: [topic], group: topic })
  await sink.untilRecords(15)
  await source.commit([{ topic, partition: 0, offset: 7n }])
  const { groups, left_out } = await read(topic)
  const [group] = groups
  assert.equal(left_out, 0)
  assert.deepEqual(
    [group?.group, group?.state, group?.members, group?.lag],
    [topic, 'Stable', 1, 3],
  )
  assert.deepEqual(
    group?.partitions.map(({ member, ...facts }) => ({ ...facts, client: member?.client_id })),
    [
      { topic, partition: 0, committed: '7', end: '10', lag: 3, client: 'source-test' },
      { topic, partition: 1, committed: null, end: '5', lag: null, client: 'source-test' },
    ],
  )
  const { stdout } = await lag(topic)
  assert.match(stdout, new RegExp(`^${topic}: Stable, 1 member, 3 behind$`, 'm'))
  assert.match(stdout, new RegExp(`^${topic} +0 +7 +10 +3 +source-test \\S+$`, 'm'))
  assert.match(stdout, new RegExp(`^${topic} +1 +- +5 +- +source-test \\S+$`, 'm'))
  await source.stop(5_000)
  const [empty] = (await read(topic)).groups
  assert.deepEqual([empty?.state, empty?.members], ['Empty', 0])
  assert.deepEqual(
    empty?.partitions.map(({ partition, member }) => [partition, member]),
    [[0, null]],
  )
})

test('without a name all groups are listed; one that does not exist is told of', async t => {
  const topic = await createTopic(t)
  await startSource(t, { topics: [topic], group: topic })
  assert.ok((await read()).groups.some(({ group }) => group === topic))
  const { code, stderr } = await lag(`${topic}-gone`)
  assert.equal(code, 2)
  assert.match(stderr, /there is no consumer group/)
})

test('a cluster that is not reachable ends it with 1', async () => {
  const { code } = await runCommand(inspect, '', ['inspect', 'lag'], {
    KAFKA_BROKERS: '127.0.0.1:1',
  })
  assert.equal(code, 1)
})
