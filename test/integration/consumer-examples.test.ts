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
