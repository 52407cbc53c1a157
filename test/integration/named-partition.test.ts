import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as dead from '../../src/cli/dead.ts'
import * as replay from '../../src/cli/replay.ts'
import { jsonCodec } from '../../src/consumer/index.ts'
import { cleanup } from '../support/cleanup.ts'
import { runCommand } from '../support/command.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { openKafkaBus } from '../support/kafka-bus.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { startRelay } from '../support/relay.ts'
import { growTopic } from '../support/topics.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 30_000
/** A member that was killed keeps its partitions for a session of 30 s. */
const SESSION_DEADLINE_MS = 90_000
const KILLED_HANDLER = fileURLToPath(new URL('../support/killed-handler.ts', import.meta.url))

const becomes = (what: string, predicate: () => boolean | Promise<boolean>) =>
  until(predicate, { deadlineMs: DEADLINE_MS, what })

/** Partition, key and value of each record. */
const shown = async (topic: string) =>
  (await readTopic(topic)).map(({ partition, key, value }) => `${partition} ${key} ${value}`)

interface Scene {
  readonly topic: string
  readonly url: string
  readonly sql: Awaited<ReturnType<typeof createDatabase>>['sql']
  write(partition: string, n: number): Promise<void>
}

async function setup(t: TestContext, retentionMs = 0): Promise<Scene> {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t, { partitions: 3 })
  await startRelay(t, url, { retentionMs })
  const write = async (partition: string, n: number) => {
    await sql`
      insert into outbox.events (topic, key, event_type, payload, headers)
      values (${topic}, 'k', 'E', ${String(n)}::text::json, ${sql.json({ 'sluice-partition': partition })})`
  }
  return { topic, url, sql, write }
}

test('an event that names no partition of its topic is a dead letter, and goes to it once there is one and it is requeued', async t => {
  const { topic, url, sql, write } = await setup(t)
  await write('4', 1)
  await write('2', 2)
  const buried = async () => (await sql`select from outbox.dead_letters`).length === 1
  await becomes('the first is a dead letter', buried)
  const [letter] = await sql`select reason, headers, attempts from outbox.dead_letters`
  const expected = {
    reason: 'invalid_partition',
    headers: { 'sluice-partition': '4' },
    attempts: 1,
  }
  assert.deepEqual({ ...letter }, expected)
  await becomes('its follower is published', async () => (await readTopic(topic)).length === 1)
  await growTopic(topic, 5)
  const requeued = await runCommand(dead, url, [
    ...['dead', 'requeue', '--all', '--yes', '--reason', 'the topic has grown'],
  ])
  assert.equal(requeued.code, 0, requeued.stderr)
  await becomes('it is published', async () => (await readTopic(topic)).length === 2)
  assert.deepEqual(await shown(topic), ['2 k 2', '4 k 1'])
})

test('what is replayed goes to the partition that it named', async t => {
  const { topic, url, sql, write } = await setup(t, 3_600_000)
  await write('1', 1)
  const published = async () => (await sql`select from outbox.published`).length === 1
  await becomes('it is published', published)
  const { code, stderr } = await runCommand(replay, url, [
    ...['replay', '--topic', topic, '--since', '1h', '--yes', '--reason', 'lost'],
  ])
  assert.equal(code, 0, stderr)
  await becomes('it is published again', async () => (await readTopic(topic)).length === 2)
  assert.deepEqual(await shown(topic), ['1 k 1', '1 k 1'])
})

const REQUEST = { event_id: 'request-1', event_type: 'Sum', correlation_id: 'c-1' }

test('a request that comes twice, and whose handler fails at first, has one reply where it asked for it', async t => {
  const under = await openKafkaBus(t)
  cleanup(t, () => under.bus.close())
  const requests = await under.createTopic()
  const replies = await createTopic(t, { partitions: 5 })
  let calls = 0
  const options = { group: `g-${requests}`, topics: [requests], codec: jsonCodec<number[]>() }
  const retry = { baseMs: 20, maxMs: 50 }
  await under.bus.subscribe({ ...options, retry }, async ({ value, id }, context) => {
    calls++
    if (id === 'end') return
    await context.reply(value.reduce((sum, each) => sum + each))
    if (calls === 1) throw new Error('after the reply')
  })
  const headers = { ...REQUEST, reply_to: replies, reply_partition: '3' }
  const request = { topic: requests, key: null, value: '[1,2,3]', headers }
  for (const each of [request, request, { ...request, headers: { ...headers, event_id: 'end' } }]) {
    await under.send(each)
  }
  await becomes('all is handled', () => calls === 3)
  const relayed = async () => (await under.database.sql`select from outbox.events`).length === 0
  await becomes('all is published', relayed)
  assert.deepEqual(await shown(replies), ['3 c-1 6'])
  const [reply] = await readTopic(replies)
  const { event_id: _, 'sluice-id': __, ...told } = reply!.headers
  assert.deepEqual(told, {
    correlation_id: 'c-1',
    reply_partition: '3',
    event_type: 'Sum.reply',
  })
})

test('a request whose handler’s process is killed has one effect and one reply', async t => {
  const under = await openKafkaBus(t)
  cleanup(t, () => under.bus.close())
  const { sql, url } = under.database
  await sql`create table sums (sum int)`
  const requests = await under.createTopic()
  const replies = await createTopic(t, { partitions: 5 })
  const spec = { url, brokers: kafkaBrokers(), topic: requests, group: `g-${requests}` }
  const args = ['--import', 'tsx', KILLED_HANDLER, JSON.stringify(spec)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  cleanup(t, () => void child.kill('SIGKILL'))
  const headers = { ...REQUEST, reply_to: replies, reply_partition: '3' }
  await under.send({ topic: requests, key: null, value: '[1,2,3]', headers })
  const [code, signal] = await once(child, 'exit')
  assert.deepEqual([code, signal], [null, 'SIGKILL'])
  assert.equal((await sql`select from sums`).length, 0, 'nothing of it was committed')
  const options = {
    ...{ group: spec.group, topics: [requests], codec: jsonCodec<number[]>() },
    joinTimeoutMs: SESSION_DEADLINE_MS,
  }
  await under.bus.subscribe(options, async ({ value }, context) => {
    const sum = value.reduce((total, each) => total + each)
    await context.sql`insert into sums values (${sum})`
    await context.reply(sum)
  })
  await becomes('it is answered', async () => (await readTopic(replies)).length > 0)
  await becomes('all is published', async () => (await sql`select from outbox.events`).length === 0)
  assert.deepEqual(await shown(replies), ['3 c-1 6'])
  assert.deepEqual([...(await sql`select sum from sums`)], [{ sum: 6 }])
})
