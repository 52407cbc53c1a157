import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createDatabase } from '../support/database.ts'
import { createTopic } from '../support/kafka.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DEADLINE_MS = 60_000
const run = promisify(execFile)

/** Runs a file as its README says. Each checks itself what it has done. */
async function runExample(file: string, env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout } = await run(process.execPath, ['--import', 'tsx', `examples/${file}`], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    timeout: DEADLINE_MS,
    maxBuffer: 8 * 1024 * 1024,
  })
  return stdout
}

/** On a database and a topic of its own. */
async function runOnItsOwn(t: TestContext, file: string): Promise<Record<string, unknown>[]> {
  const { url } = await createDatabase(t, { migrate: false })
  const topic = await createTopic(t, { partitions: 3 })
  const stdout = await runExample(file, { DATABASE_URL: url, TOPIC: topic })
  return stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
}

test('the example of an event handler handles what it can and logs why it cannot the rest', async t => {
  const lines = await runOnItsOwn(t, 'event-handler/main.ts')
  const count = (text: string) => lines.filter(({ msg }) => msg === text).length
  assert.equal(count('Setup: partitions assigned'), 1)
  assert.equal(count('Cleanup: partitions revoked'), 1)
  assert.equal(count('both users are there, and the bad messages kept neither back'), 1)
  // A record may be read more than once.
  for (const text of [
    'successfully consume message',
    'empty event ID',
    'empty event type',
    'invalid payload',
    'invalid event type',
  ]) {
    assert.ok(count(text) >= 1, text)
  }
  const op = 'controller.kafka_consumer.ConsumeClaim'
  assert.ok(lines.some(line => line.msg === 'invalid payload' && line.op === op))
})

test('the example of a payment service waits for its provider and charges each payment once', async t => {
  const lines = await runOnItsOwn(t, 'payment-service/main.ts')
  assert.equal(lines.at(-1)?.msg, 'all is paid, each once')
})

test('the example of a saga pays one order and cancels the other at its time', async t => {
  const lines = await runOnItsOwn(t, 'order-saga/main.ts')
  assert.equal(lines.at(-1)?.msg, 'one order was paid, the other cancelled at its time')
})

/** Of topics of its own, which the example makes if they are missing. */
async function ownTopics(t: TestContext): Promise<{ WORKER_TOPIC: string; REPLY_TOPIC: string }> {
  const WORKER_TOPIC = await createTopic(t, { partitions: 4 })
  const REPLY_TOPIC = await createTopic(t, { partitions: 4 })
  return { WORKER_TOPIC, REPLY_TOPIC }
}

test('in the example of requests and replies each sum is told once, to who has asked, by either worker', async t => {
  const stdout = await runExample('request-reply/main.ts', await ownTopics(t))
  const lines = stdout.trim().split('\n')
  assert.equal(lines.at(-1), 'all is answered')
  for (const [requester, factor] of [
    ['requester-1', 10],
    ['requester-2', 100],
  ] as const) {
    const sums = lines.flatMap(line => {
      const [, sum] = /^(requester-\d: \d \+ \d+ = \d+), says worker-[12]$/.exec(line) ?? []
      return sum?.startsWith(requester) ? [sum] : []
    })
    const expected = [0, 1, 2, 3, 4, 5].map(
      n => `${requester}: ${n} + ${n * factor} = ${n + n * factor}`,
    )
    assert.deepEqual(sums.sort(), expected)
  }
  assert.ok(lines.includes('requester-1: refused with no_sum: a and b must be numbers'))
})

test('in the example of a worker with a database a request that is sent again books nothing again', async t => {
  const { url } = await createDatabase(t, { migrate: false })
  const topics = await ownTopics(t)
  const stdout = await runExample('request-reply/with-postgres.ts', {
    ...topics,
    DATABASE_URL: url,
  })
  const lines = ['seat 1', 'seat 1, as before', 'seat 2']
  assert.deepEqual(stdout.trim().split('\n'), [...lines, 'two seats are booked, by three requests'])
})

for (const [experiment, seen] of [
  ['run01', /awaited: run\(\) has returned, and nothing was produced yet/],
  ['run02', /the join failed and run\(\) resolved all the same/],
  ['fail01', /a TypeError ends the consumer for good, and the process lives on/],
  ['fail02', /commits offset \+ 1, goes on: handled 3,4,5/],
  ['fail03', /order of handling: 1,2,4,5,3/],
] as const) {
  test(`kafkajs behaves as its experiment ${experiment} has recorded`, async () => {
    assert.match(await runExample(`kafkajs-experiments/${experiment}.ts`, {}), seen)
  })
}
