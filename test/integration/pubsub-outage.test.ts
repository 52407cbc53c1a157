import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import {
  AirCoreFrame,
  Correspondent,
  type config,
  ReplyPartitionLost,
  RequestTimeout,
} from '../../src/pubsub/index.ts'
import { startOwnKafka } from '../support/own-kafka.ts'
import { configOf, echo, owned, startWorker } from '../support/pubsub.ts'
import { until } from '../support/until.ts'

function isExpected(error: unknown): boolean {
  return error instanceof RequestTimeout || error instanceof ReplyPartitionLost
}

/** Sends a request until one is answered; each that is not ends as it should, and in its time. */
async function answeredAgain(correspondent: Correspondent): Promise<void> {
  await until(
    async () => {
      const request = AirCoreFrame.request({ type: 'T', payload: 'again' })
      const startedMs = monotonicMs()
      try {
        const reply = await correspondent.request(request, { timeoutMs: 2_000 })
        return reply.text() === 'again'
      } catch (error) {
        assert.ok(isExpected(error), String(error))
        assert.ok(monotonicMs() - startedMs < 20_000)
        return false
      }
    },
    { deadlineMs: 90_000, what: 'requests are answered again' },
  )
}

async function ends(correspondent: Correspondent, timeoutMs: number): Promise<unknown[]> {
  const requests = Array.from({ length: 20 }, (_, n) =>
    correspondent.request(AirCoreFrame.request({ type: 'T', payload: `${n}` }), { timeoutMs }),
  )
  const results = await Promise.allSettled(requests)
  assert.equal(correspondent.open_requests, 0)
  return results.flatMap(result => (result.status === 'rejected' ? [result.reason] : []))
}

test('while the broker is away each request ends in its time, and when it is back all goes on', async t => {
  const kafka = await startOwnKafka(t)
  const settings: config = configOf({
    brokers: kafka.brokers,
    topics: { worker: 'w', reply_to: 'r' },
    create_topics: { partitions: 2, replication_factor: 1 },
    publish_timeout_ms: 3_000,
  })
  const correspondent = owned(t, Correspondent.create(settings))
  await startWorker(t, settings, async (frame, reply) => {
    // A reply that was not confirmed: the requester sends again.
    await echo(frame, reply).catch(() => {})
  })
  await correspondent.connect()
  assert.deepEqual(await ends(correspondent, 20_000), [])
  await kafka.kill()
  const killed = await ends(correspondent, 2_000)
  assert.equal(killed.length, 20)
  assert.ok(killed.every(isExpected), String(killed))
  await kafka.restart()
  await answeredAgain(correspondent)
  await kafka.freeze()
  const frozen = await ends(correspondent, 2_000)
  await kafka.thaw()
  assert.equal(frozen.length, 20)
  assert.ok(frozen.every(isExpected), String(frozen))
  await answeredAgain(correspondent)
  assert.deepEqual(await ends(correspondent, 20_000), [])
})
