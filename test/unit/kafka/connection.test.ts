import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { openKafka } from '../../../src/kafka/connection.ts'
import { cleanup } from '../../support/cleanup.ts'

test('clients made one after the other begin with different brokers, so that one that is down stops none for good', async t => {
  const reached = new Set<number>()
  const ports: number[] = []
  for (const n of [0, 1, 2]) {
    const server = createServer(socket => {
      reached.add(n)
      socket.on('error', () => {})
      socket.destroy()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    ports.push((server.address() as AddressInfo).port)
    cleanup(t, async () => {
      server.close()
    })
  }
  const brokers = ports.map(port => `127.0.0.1:${port}`)
  for (let n = 0; n < 3; n++) {
    const admin = openKafka({ brokers, clientId: 'test' }, 1_000).admin()
    await assert.rejects(admin.connect())
    await admin.disconnect().catch(() => {})
  }
  assert.deepEqual([...reached].sort(), [0, 1, 2])
})
