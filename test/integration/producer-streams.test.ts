import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { withDeadline } from '../../src/internal/deadline.ts'
import { ProducerStreams } from '../../src/relay/producer-streams.ts'
import { PublishPool } from '../../src/relay/publish-pool.ts'
import { sampleEvents } from '../contract/sample-event.ts'
import { cleanup } from '../support/cleanup.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { kafkaBrokers } from '../support/parts.ts'

const DEADLINE_MS = 30_000
const late = () => new Error('it took too long')

test('streams over kafkajs on threads: though the threads die in between, all are stored in their keys’ order', async t => {
  const topic = await createTopic(t, { partitions: 3 })
  const threads = threadsOf(t)
  const connection = { brokers: kafkaBrokers(), clientId: 'sluice-test' }
  const options = {
    client: 'kafkajs',
    connection,
    requestTimeoutMs: 2_000,
    messageBytesMax: 900_000,
  } as const
  const producer = new PublishPool({ threads: 2, batchesMax: 2, producer: options })
  cleanup(t, () => producer.close())
  const streams = new ProducerStreams(producer, { batchSize: 20, publishTimeoutMs: 5_000 })
  const events = sampleEvents(
    Array.from({ length: 400 }, (_, n) => ({ topic, key: `k${n % 8}`, payload: String(n) })),
  )
  const codes = new Set<string>()
  const answering = (async () => {
    for await (const { event, outcome } of streams.getErrors()) {
      codes.add(outcome.code)
      streams.retry(event)
    }
  })()
  const writer = streams.getInput().getWriter()
  const writing = (async () => {
    for (const event of events) await writer.write(event)
  })()
  const reading = (async () => {
    let successes = 0
    for await (const { event } of streams.getSuccesses()) {
      assert.equal(event.topic, topic)
      successes++
      if (successes === 100) for (const thread of threads) void thread.terminate()
      if (successes === events.length) return
    }
  })()
  await withDeadline(Promise.all([writing, reading]), DEADLINE_MS, late)
  await withDeadline(writer.close(), DEADLINE_MS, late)
  await withDeadline(answering, DEADLINE_MS, late)
  assert.ok(codes.has('thread_lost'), [...codes].join())
  const last = new Map<string, number>()
  const seen = new Set<number>()
  for (const { key, value } of await readTopic(topic)) {
    const n = Number(value)
    // Sent again after a lost answer: a duplicate, which consumers must expect.
    if (seen.has(n)) continue
    seen.add(n)
    const before = last.get(String(key)) ?? -1
    assert.ok(n > before, `${key}: ${n} lies behind ${before}`)
    last.set(String(key), n)
  }
  assert.equal(seen.size, events.length)
})

/** The worker threads that this process starts from now on, until the test has ended. */
function threadsOf(t: TestContext): Worker[] {
  const threads: Worker[] = []
  const listener = (worker: Worker) => threads.push(worker)
  process.on('worker', listener)
  cleanup(t, () => void process.off('worker', listener))
  return threads
}
