import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { describeError } from '../../../src/errors.ts'
import { Database } from '../../../src/outbox/database.ts'
import { cleanup } from '../../support/cleanup.ts'
import { until } from '../../support/until.ts'

/** Accepts connections and closes them before it has said anything. */
async function openMute(t: TestContext) {
  let connections = 0
  const server = createServer(socket => {
    connections++
    socket.on('error', () => {})
    socket.end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  cleanup(t, async () => {
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `postgres://a:b@127.0.0.1:${port}/x`, connections: () => connections }
}

test('a server that closes connections without a word is not hammered, and statements fail instead of waiting', async t => {
  const mute = await openMute(t)
  const told: string[] = []
  const database = new Database({
    url: mute.url,
    applicationName: 'test',
    connectionsMax: 4,
    statementTimeoutMs: 60_000,
    breakerResetMs: 50,
    onBreaker: state => told.push(state),
  })
  cleanup(t, () => database.stop())
  let asked = 0
  const ask = async () => {
    asked++
    await assert.rejects(
      database.run('asking', sql => sql`select 1`),
      /asking failed/,
    )
  }
  // Each opening after the first one is a probe that has failed.
  const probed = async () => {
    await Promise.all([ask(), ask(), ask()])
    return told.filter(state => state === 'open').length >= 4
  }
  await until(probed, { deadlineMs: 30_000, what: 'three probes have failed' })
  assert.ok(mute.connections() <= 20, `${mute.connections()} connections for ${asked} statements`)
})

test('a statement of a closed database is refused', async t => {
  const { url } = await openMute(t)
  const options = { applicationName: 'test', connectionsMax: 1, statementTimeoutMs: 1_000 }
  const database = new Database({ url, ...options })
  await database.stop()
  const asking = database.run('asking', sql => sql`select 1`)
  await assert.rejects(asking, error => /is closed/.test(describeError(error)))
})
