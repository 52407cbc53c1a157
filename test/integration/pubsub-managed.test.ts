import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  AirCoreFrame,
  Correspondent,
  config,
  publisher,
  topic_type,
} from '../../src/pubsub/index.ts'
import { echo, owned, startWorker } from '../support/pubsub.ts'
import { RELAY_PASSWORD, startSecuredKafka } from '../support/secured-kafka.ts'

test('requests are answered over TLS and SASL, and neither a stranger nor a wrong password gets in', async t => {
  const { brokers, ca } = await startSecuredKafka(t, { tls: true })
  const options = {
    brokers,
    ca,
    username: 'relay',
    password: RELAY_PASSWORD,
    connect_timeout_ms: 20_000,
    create_topics: { partitions: 2, replication_factor: 1 },
  }
  for (const mechanism of ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'PLAIN']) {
    const settings = config.managed({ ...options, mechanism })
    const correspondent = owned(t, Correspondent.create(settings))
    const { subscriber } = await startWorker(t, settings, echo)
    await correspondent.connect()
    const request = AirCoreFrame.request({ type: 'T', payload: mechanism })
    const reply = await correspondent.request(request, { timeoutMs: 15_000 })
    assert.equal(reply.text(), mechanism)
    await correspondent[Symbol.asyncDispose]()
    await subscriber[Symbol.asyncDispose]()
  }
  const wrong = owned(t, publisher.create(config.managed({ ...options, password: 'guessed' })))
  const frame = AirCoreFrame.event({ type: 'T' })
  await assert.rejects(wrong.send(frame, { topic_type: topic_type.worker }), error => {
    assert.equal((error as { code?: unknown }).code, 'options')
    assert.match(String(error), /the brokers refuse \(.*\): check credentials/)
    assert.doesNotMatch(String(error), /guessed/)
    return true
  })
  // Its certificate is signed by itself: without the authority given, nobody vouches for it.
  const { ca: _ca, ...unknown } = options
  const stranger = owned(t, publisher.create(config.managed(unknown)))
  const sending = stranger.send(frame, { topic_type: topic_type.worker, timeout_ms: 3_000 })
  await assert.rejects(sending, { code: 'broker', retryable: true })
})
