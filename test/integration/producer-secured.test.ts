import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KafkaConnection } from '../../src/kafka/connection.ts'
import { openProducer } from '../../src/kafka/open-producer.ts'
import { faultsOf, kindsOf, soon } from '../contract/producer-outcomes.ts'
import { sampleEvents } from '../contract/sample-event.ts'
import { CLIENTS, producerOptions } from '../support/producers.ts'
import { RELAY_PASSWORD, startSecuredKafka } from '../support/secured-kafka.ts'

type Sasl = NonNullable<KafkaConnection['sasl']>
type Mechanism = Sasl['mechanism']

const MECHANISMS: readonly Mechanism[] = ['plain', 'scram-sha-256', 'scram-sha-512']
const CLUSTER_FAULT = ['SASL_AUTHENTICATION_FAILED', 'producer', 'cluster']
const skip = process.env.PARTS_KIND === 'docker' && 'the broker with credentials is started by Java'

/** One broker for all, because it takes seconds to start. */
test('a broker that asks for credentials', { skip }, async t => {
  const { brokers, kafka, forbid } = await startSecuredKafka(t)
  const admin = kafka.admin()
  await admin.connect()
  const topics = ['allowed', 'forbidden'].map(topic => ({ topic, numPartitions: 1 }))
  await admin.createTopics({ topics, waitForLeaders: true })

  for (const client of CLIENTS) {
    const publish = async (sasl: Sasl | null, names: readonly string[]) => {
      const options = producerOptions(client, brokers)
      const connection = { ...options.connection, ...(sasl && { sasl }) }
      const producer = await openProducer({ ...options, connection })
      try {
        const events = names.map((topic, n) => ({ topic, key: `k${n}` }))
        // Twice: what holds for the first session holds for the next one.
        await producer.publish(sampleEvents(events), soon())
        return await producer.publish(sampleEvents(events), soon())
      } finally {
        await producer.close(1_000)
      }
    }
    const relay = (mechanism: Mechanism, password = RELAY_PASSWORD): Sasl => ({
      mechanism,
      username: 'relay',
      password,
    })

    for (const mechanism of MECHANISMS) {
      await t.test(`${client}: publishes with ${mechanism}`, async () => {
        assert.deepEqual(kindsOf(await publish(relay(mechanism), ['allowed'])), ['acked'])
      })

      await t.test(
        `${client}: a wrong password for ${mechanism} is the producer’s fault, for the whole cluster`,
        async () => {
          const outcomes = await publish(relay(mechanism, 'wrong'), ['allowed', 'forbidden'])
          assert.deepEqual(faultsOf(outcomes), [CLUSTER_FAULT, CLUSTER_FAULT])
          assert.doesNotMatch(JSON.stringify(outcomes), /wrong/)
        },
      )
    }

    await t.test(`${client}: a client without credentials is no event’s fault`, async () => {
      const [fault] = faultsOf(await publish(null, ['allowed']))
      assert.equal(fault?.[2], 'cluster')
    })

    await t.test(
      `${client}: a topic that may not be written to is the producer’s fault, and other topics go on`,
      async () => {
        await forbid('forbidden')
        const [allowed, forbidden] = await publish(relay('plain'), ['allowed', 'forbidden'])
        assert.equal(allowed?.kind, 'acked')
        assert.deepEqual(faultsOf([forbidden!]), [
          ['TOPIC_AUTHORIZATION_FAILED', 'producer', 'topic'],
        ])
      },
    )

    await t.test(`${client}: a topic that the broker would make is not made`, async () => {
      const topic = `missing-for-${client}`
      const outcomes = await publish(relay('plain'), [topic])
      assert.deepEqual(faultsOf(outcomes), [['UNKNOWN_TOPIC_OR_PARTITION', 'broker', 'topic']])
      assert.ok(!(await admin.listTopics()).includes(topic))
    })
  }
  await admin.disconnect()
})
