import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createDatabase } from '../support/database.ts'
import { createTopic, readTopic } from '../support/kafka.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DEADLINE_MS = 120_000
const run = promisify(execFile)

/** Runs a file as its README says, on a database and a topic of its own. */
async function runExample(t: TestContext, ...file: string[]) {
  const { url, sql } = await createDatabase(t, { migrate: false })
  const topic = await createTopic(t, { partitions: 3 })
  const env: NodeJS.ProcessEnv = { ...process.env, DATABASE_URL: url, TOPIC: topic }
  // Tests that run within a test would report to its runner instead of printing.
  delete env.NODE_TEST_CONTEXT
  const { stdout } = await run(process.execPath, ['--import', 'tsx', ...file], {
    cwd: ROOT,
    env,
    timeout: DEADLINE_MS,
    maxBuffer: 8 * 1024 * 1024,
  })
  return { stdout, sql, topic }
}

test('the example of an own adapter publishes a table of its own, in its subjects’ order, and logs by its own logger', async t => {
  const { stdout, topic } = await runExample(t, 'examples/own-adapter/main.ts')
  const lines = stdout.trim().split('\n')
  const logged = lines.map(line => JSON.parse(line) as { name: string; msg: string })
  assert.ok(logged.every(({ name }) => name === 'shop'))
  assert.equal(logged.at(-1)?.msg, 'all messages are published')
  const last = new Map<string, number>()
  const records = await readTopic(topic)
  for (const { key, value } of records) {
    const { n } = JSON.parse(String(value)) as { n: number }
    assert.ok(n > (last.get(String(key)) ?? 0), `${key}: ${n} lies behind ${last.get(String(key))}`)
    last.set(String(key), n)
  }
  assert.deepEqual([records.length, last.size], [500, 50])
})

test('the example of an own adapter passes the suite that every adapter must pass', async t => {
  const { stdout } = await runExample(t, '--test', 'examples/own-adapter/contract.test.ts')
  assert.match(stdout, /^[#ℹ] fail 0$/m)
  const passed = Number(/^[#ℹ] pass (\d+)$/m.exec(stdout)?.[1])
  assert.ok(passed >= 30, `${passed} tests passed`)
})

test('the example of enqueueing publishes what was committed, and its consumer counts it once', async t => {
  const main = 'examples/enqueue-in-transaction/main.ts'
  const { stdout, sql, topic } = await runExample(t, main)
  assert.equal(stdout, '41 orders placed, 2 rolled back, 1 event delivered twice: turnover 1420\n')
  const [waiting] = await sql`select count(*)::int as n from outbox.events`
  assert.equal(waiting?.n, 0)
  const totals = (await readTopic(topic)).map(({ value }) => JSON.parse(String(value)).total)
  assert.equal(totals.length, 42)
  assert.ok(!totals.includes(-1))
})
