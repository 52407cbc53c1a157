import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { bytesCodec } from '../../src/consumer/codecs.ts'
import { createBus } from '../../src/create-bus.ts'
import { withDeadline } from '../../src/internal/deadline.ts'
import { cleanup } from '../support/cleanup.ts'
import { applyConsumerSchema } from '../support/consumer-schema.ts'
import { createDatabase } from '../support/database.ts'

test('a bus that closes does not wait for a group that cannot be joined', async t => {
  const { url, sql } = await createDatabase(t)
  await applyConsumerSchema(sql)
  // A broker that is there and says nothing.
  const broker = createServer(socket => cleanup(t, () => void socket.destroy()))
  broker.listen(0, '127.0.0.1')
  cleanup(t, () => void broker.close())
  await once(broker, 'listening')
  const asked = once(broker, 'connection')
  const brokers = [`127.0.0.1:${(broker.address() as AddressInfo).port}`]
  const bus = createBus({ databaseUrl: url, kafka: { brokers }, controlTopic: null })
  const joining = bus.subscribe({ group: 'g', topics: ['t'], codec: bytesCodec() }, async () => {})
  const refused = assert.rejects(joining, { code: 'lifecycle' })
  await asked
  const late = () => new Error('the bus waits for the group')
  await withDeadline(bus.close(), 20_000, late)
  await refused
})
