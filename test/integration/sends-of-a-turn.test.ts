import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AirCoreFrame, config, publisher, topic_type } from '../../src/pubsub/index.ts'
import { cleanup } from '../support/cleanup.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { kafkaBrokers } from '../support/parts.ts'

/** More than any step of a send takes. */
const STEPS = 40
const TIMEOUT_MS = 2_000

test('a frame that is sent while another one is on its way goes out, at whatever step the other one is', async t => {
  const [worker, reply_to] = [await createTopic(t), await createTopic(t)]
  const connection = { brokers: kafkaBrokers(), clientId: 'sluice-test' }
  const sender = publisher.create(new config({ connection, topics: { worker, reply_to } }))
  cleanup(t, () => sender[Symbol.asyncDispose]())
  await sender.connect()
  const options = { topic_type: topic_type.worker, timeout_ms: TIMEOUT_MS }
  for (let steps = 0; steps < STEPS; steps++) {
    const first = sender.send(AirCoreFrame.event({ type: 'First' }), options)
    for (let step = 0; step < steps; step++) await Promise.resolve()
    // Nothing comes after it that could take it along.
    const second = sender.send(AirCoreFrame.event({ type: 'Second' }), options)
    await Promise.all([first, second])
  }
  assert.equal((await readTopic(worker)).length, 2 * STEPS)
})
