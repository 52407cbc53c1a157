import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { describeError } from '../../../src/errors.ts'
import { Database } from '../../../src/postgres/database.ts'
import { cleanup } from '../../support/cleanup.ts'

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

test('a server that closes connections without a word is not hammered', async t => {
  const mute = await openMute(t)
  const options = { applicationName: 'test', connectionsMax: 4, statementTimeoutMs: 1_000 }
  const database = new Database({ url: mute.url, ...options })
  cleanup(t, () => database.stop())
  const ask = () =>
    assert.rejects(
      database.run('asking', sql => sql`select 1`),
      error => /asking failed: no answer/.test(describeError(error)),
    )
  await Promise.all([ask(), ask(), ask(), ask()])
  // Of a pool that waits 3 s: by postgres.js itself it would be some hundreds for each statement.
  assert.ok(mute.connections() <= 30, `${mute.connections()} connections`)
})

test('an answer whose first rows are missing is no answer', async t => {
  const { url } = await openMute(t)
  const options = { applicationName: 'test', connectionsMax: 1, statementTimeoutMs: 1_000 }
  const database = new Database({ url, ...options })
  cleanup(t, () => database.stop())
  const torn: number[] = []
  torn[2] = 1
  const asking = database.run('asking', async () => torn)
  await assert.rejects(asking, error => /rows are missing/.test(describeError(error)))
  assert.deepEqual(await database.run('asking', async () => []), [])
})

test('a statement of a closed database is refused', async t => {
  const { url } = await openMute(t)
  const options = { applicationName: 'test', connectionsMax: 1, statementTimeoutMs: 1_000 }
  const database = new Database({ url, ...options })
  await database.stop()
  const asking = database.run('asking', sql => sql`select 1`)
  await assert.rejects(asking, error => /is closed/.test(describeError(error)))
})
