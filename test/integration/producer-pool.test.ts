import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { withDeadline } from '../../src/internal/deadline.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import { PublishPool } from '../../src/relay/publish-pool.ts'
import { kindsOf, soon } from '../contract/producer-outcomes.ts'
import { sampleEvents } from '../contract/sample-event.ts'
import { openGate } from '../support/broker-gate.ts'
import { cleanup } from '../support/cleanup.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { openThreads } from '../support/producers.ts'
import { assertUnknown } from '../support/unknown-outcomes.ts'
import { until } from '../support/until.ts'

const late = () => new Error('it took too long')

test('a pool that is closed while it publishes leaves unknown outcomes, at once', async t => {
  const { pool, gate, publish } = await openHangingPool(t)
  const publishing = publish()
  await until(() => gate.connections > 0, { deadlineMs: 10_000, what: 'a thread publishes' })
  await withDeadline(pool.close(), 2_000, late)
  assertUnknown(await withDeadline(publishing, 1_000, late), ['thread_lost', 'thread_lost'])
})

test('a closed pool sends nothing more and starts no thread', async t => {
  const topic = await createTopic(t)
  const threads = threadsOf(t)
  const pool = openThreads(t, 'kafkajs')
  await pool.close()
  const started = threads.length
  assertUnknown(await pool.publish(sampleEvents([{ topic }]), soon()), ['thread_lost'])
  assert.equal(threads.length, started)
  assert.deepEqual(await readTopic(topic), [])
})

test('a thread that dies leaves unknown outcomes, and the next batch is published by another', async t => {
  const threads = threadsOf(t)
  const { gate, publish } = await openHangingPool(t)
  const publishing = publish()
  await until(() => gate.connections > 0, { deadlineMs: 10_000, what: 'the thread publishes' })
  gate.open()
  await Promise.all(threads.map(thread => thread.terminate()))
  assertUnknown(await withDeadline(publishing, 2_000, late), ['thread_lost', 'thread_lost'])
  assert.deepEqual(kindsOf(await publish()), ['acked', 'acked'])
  assert.equal(threads.length, 2)
})

test('a batch that hangs holds no other one of its thread back', async t => {
  const { pool, gate, publish, known } = await openHangingPool(t)
  const publishing = publish()
  await until(() => gate.connections > 0, { deadlineMs: 10_000, what: 'the batch hangs' })
  const other = pool.publish(sampleEvents([{ topic: known }]), soon())
  assert.deepEqual(kindsOf(await withDeadline(other, 3_000, late)), ['acked'])
  await pool.close()
  assertUnknown(await publishing, ['thread_lost', 'thread_lost'])
})

test('threads that cannot start leave unknown outcomes instead of an error', async t => {
  const pool = new PublishPool({ threads: 1, batchesMax: 2, producer: { connection: null } })
  cleanup(t, () => pool.close())
  for (let batch = 0; batch < 3; batch++) {
    const publishing = pool.publish(sampleEvents([{}]), monotonicMs() + 500)
    assertUnknown(await withDeadline(publishing, 5_000, late), ['thread_lost'])
  }
})

/** A pool of one thread that knows one topic, and will hang when it looks another one up, until the gate opens. */
async function openHangingPool(t: TestContext) {
  const topic = await createTopic(t)
  const known = await createTopic(t)
  const gate = await openGate(t)
  const pool = openThreads(t, 'kafkajs', { threads: 1, batchesMax: 2, brokers: [gate.broker] })
  assert.deepEqual(kindsOf(await pool.publish(sampleEvents([{ topic: known }]), soon())), ['acked'])
  gate.shut()
  const events = sampleEvents([{ topic }, { topic, key: 'b' }])
  return { pool, gate, known, publish: () => pool.publish(events, soon()) }
}

/** The worker threads that this process starts from now on, until the test has ended. */
function threadsOf(t: TestContext): Worker[] {
  const threads: Worker[] = []
  const listener = (worker: Worker) => threads.push(worker)
  process.on('worker', listener)
  cleanup(t, () => void process.off('worker', listener))
  return threads
}
