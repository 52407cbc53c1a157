import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withDeadline } from '../../src/internal/deadline.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import { producerContract } from '../contract/producer.ts'
import { kindsOf, soon } from '../contract/producer-outcomes.ts'
import { producerTopicContract } from '../contract/producer-topics.ts'
import { producerWireContract } from '../contract/producer-wire.ts'
import { sampleEvents } from '../contract/sample-event.ts'
import { openGate } from '../support/broker-gate.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { CLIENTS, openInProcess, WAYS } from '../support/producers.ts'
import { deleteTopic, growTopic, recreateTopic } from '../support/topics.ts'
import { assertUnknown } from '../support/unknown-outcomes.ts'
import { openWireGate } from '../support/wire-gate.ts'

const late = () => new Error('it took too long')

for (const { name, open } of WAYS) {
  producerContract(name, async t => ({
    producer: await open(t),
    createTopic: partitions => createTopic(t, { partitions }),
    readTopic,
  }))

  producerTopicContract(name, async t => ({
    producer: await open(t),
    createTopic: (partitions, config) => createTopic(t, { partitions, ...(config && { config }) }),
    readTopic,
    growTopic,
    deleteTopic,
    recreateTopic,
  }))

  producerWireContract(name, async t => {
    const gate = await openWireGate(t)
    return {
      gate,
      producer: await open(t, [gate.broker]),
      createTopic: partitions => createTopic(t, { partitions }),
      readTopic,
    }
  })

  test(`${name}: brokers that accept connections and say nothing cost no more than the deadline`, async t => {
    const gate = await openGate(t)
    gate.shut()
    const producer = await open(t, [gate.broker])
    const events = sampleEvents([{ key: 'a' }, { key: 'a' }, { key: 'b' }])
    // Long enough for a thread to load its code on a busy machine.
    const publishing = producer.publish(events, monotonicMs() + 3_000)
    assertUnknown(await withDeadline(publishing, 3_500, late), ['timeout', 'key_held', 'timeout'])
    await withDeadline(producer.close(1_000), 2_000, late)
  })

  test(`${name}: brokers that are not there are the brokers’ fault, and found again`, async t => {
    const topic = await createTopic(t)
    const gate = await openGate(t)
    const producer = await open(t, [gate.broker])
    await gate.close()
    const events = sampleEvents([{ topic }])
    assertUnknown(await producer.publish(events, soon()), [/./])
    await gate.reopen()
    assert.deepEqual(kindsOf(await producer.publish(events, soon())), ['acked'])
  })
}

for (const client of CLIENTS) {
  test(`${client}: of a request that the broker refuses, the events to blame are found, and they alone are refused`, async t => {
    const topic = await createTopic(t, { config: { 'max.message.bytes': '20000' } })
    const tooLarge = new Set([0, 17, 18, 63])
    const events = sampleEvents(
      Array.from({ length: 64 }, (_, n) => ({
        topic,
        key: `k${n}`,
        payload: tooLarge.has(n) ? 'x'.repeat(30_000) : String(n),
      })),
    )
    const producer = await openInProcess(t, client)
    const outcomes = await producer.publish(events, soon())
    for (const [index, outcome] of outcomes.entries()) {
      assert.equal(outcome.kind, tooLarge.has(index) ? 'rejected' : 'acked', `event ${index}`)
    }
    const stored = (await readTopic(topic)).map(record => Number(record.value))
    assert.deepEqual(
      stored,
      [...events.keys()].filter(n => !tooLarge.has(n)),
    )
  })

  test(`${client}: what no event is to blame for before it was sent, such as a garbled answer, spends no attempt`, async t => {
    const gate = await openGate(t)
    gate.garble()
    const producer = await openInProcess(t, client, [gate.broker])
    const events = sampleEvents([{ key: 'a' }, { key: 'b' }])
    assertUnknown(await producer.publish(events, monotonicMs() + 3_000), [/./, /./])
  })
}

test('events of topics that cannot be looked up have unknown outcomes; topics that are known go on', async t => {
  const [known, other] = [await createTopic(t), await createTopic(t)]
  const gate = await openGate(t)
  const producer = await openInProcess(t, 'kafkajs', [gate.broker])
  assert.deepEqual(kindsOf(await producer.publish(sampleEvents([{ topic: known }]), soon())), [
    'acked',
  ])
  const events = sampleEvents([{ topic: known }, { topic: other }])
  for (const cut of [gate.garble, gate.close]) {
    await cut()
    const outcomes = await producer.publish(events, monotonicMs() + 3_000)
    assert.deepEqual(kindsOf(outcomes), ['acked', 'unknown'])
  }
})
