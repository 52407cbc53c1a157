import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { textCodec } from '../../../src/consumer/codecs.ts'
import { createMemoryBus, type MemoryBusOptions } from '../../../src/consumer/memory-bus.ts'
import type { Tx } from '../../../src/consumer/tx.ts'
import { SluiceError } from '../../../src/errors.ts'
import { enqueue } from '../../../src/outbox/enqueue.ts'
import { busContract } from '../../contract/bus.ts'
import { eventOf } from '../../contract/bus-rig.ts'
import { cleanup } from '../../support/cleanup.ts'

busContract('the memory bus', async () => {
  const bus = createMemoryBus()
  return {
    bus,
    transaction: work => bus.transaction(work),
    createTopic: async () => `topic-${randomUUID()}`,
    send: async record => bus.send(record),
    deadLetters: async group => bus.deadLetters(group),
  }
})

type Scope = Parameters<typeof cleanup>[0]

async function setup(t: Scope, options: MemoryBusOptions = {}) {
  const bus = createMemoryBus(options)
  cleanup(t, () => bus.close())
  const handled: string[] = []
  const subscription = await bus.subscribe(
    { group: 'g', topics: ['t'], codec: textCodec() },
    async ({ value }) => {
      handled.push(value)
    },
  )
  return { bus, handled, subscription }
}

test('it is idle once what was published is handled, delays included', async t => {
  const { bus, handled } = await setup(t)
  await bus.transaction(async tx => {
    const notBefore = new Date(Date.now() + 200)
    await enqueue(tx, { topic: 't', eventType: 'Late', payload: 2, notBefore })
    await enqueue(tx, { topic: 't', eventType: 'Now', payload: 1 })
  })
  await bus.idle()
  assert.deepEqual(handled, ['1', '2'])
})

test('a named partition is no header of the message, in memory as in Kafka', async t => {
  const { bus } = await setup(t)
  const seen: object[] = []
  const options = { group: 'h', topics: ['t'], codec: textCodec() }
  await bus.subscribe(options, async ({ headers, partition }) => {
    seen.push([headers['sluice-partition'], headers.source, partition])
  })
  const headers = { 'sluice-partition': '3', source: 'shop' }
  await bus.transaction(tx => enqueue(tx, { topic: 't', eventType: 'X', payload: 1, headers }))
  await bus.idle()
  assert.deepEqual(seen, [[undefined, 'shop', 0]])
})

test('a group without an inbox goes on where it was', async t => {
  const { bus } = await setup(t)
  const seen: string[] = []
  const options = { group: 'again', topics: ['t'], codec: textCodec(), dedup: 'none' } as const
  for (const value of ['1', '2']) {
    bus.send({ topic: 't', value, headers: { event_id: value, event_type: 'X' } })
    const subscription = await bus.subscribe(options, async message => {
      seen.push(message.value)
    })
    await bus.idle()
    await subscription.stop()
  }
  assert.deepEqual(seen, ['1', '2'])
})

test('a listener that throws is logged and changes nothing, and failures are logged', async t => {
  const lines: string[] = []
  const say = (_: object, message: string) => {
    lines.push(message)
  }
  const logger = { debug: say, info: say, warn: say, error: say }
  const listener = () => {
    throw new Error('a listener of ours')
  }
  const { bus, handled } = await setup(t, { logger, listeners: [listener] })
  bus.send({ topic: 't', value: null, headers: { event_id: '1', event_type: 'X' } })
  bus.send({ topic: 't', value: 'x', headers: { event_id: '2', event_type: 'X' } })
  await bus.idle()
  assert.deepEqual(handled, ['x'])
  assert.equal(bus.deadLetters('g').length, 1)
  assert.ok(lines.includes('a listener failed'))
  assert.ok(lines.includes('message not handled'))
})

test('what is paused is not waited for', async t => {
  const { bus, handled, subscription } = await setup(t)
  await subscription.pause({}, { reason: 'maintenance' })
  bus.send({ topic: 't', value: 'x', headers: { event_id: '1', event_type: 'X' } })
  await bus.idle()
  assert.deepEqual(handled, [])
})

test('what is published within someone else’s transaction waits to be flushed', async t => {
  const { bus, handled } = await setup(t)
  const foreign = (() => {}) as unknown as Tx
  await bus.publish(eventOf('t', 'a:1'), foreign)
  await bus.idle()
  assert.deepEqual(handled, [])
  bus.flush()
  await bus.idle()
  assert.deepEqual(handled, ['{"n":1}'])
})

test('without a database a handler’s statement is refused, and says how to get one', async t => {
  const { bus } = await setup(t)
  const use = (use: (tx: Tx) => unknown) => bus.transaction(async tx => use(tx))
  const refused = (error: unknown) =>
    error instanceof SluiceError && error.code === 'options' && /begin/.test(error.message)
  await assert.rejects(
    use(tx => tx`select 1`),
    refused,
  )
  await assert.rejects(
    use(tx => tx.unsafe('select 1')),
    refused,
  )
  await assert.rejects(
    use(tx => tx.savepoint(async inner => inner`select 1`)),
    refused,
  )
})

test('a group has one subscription to a topic', async t => {
  const { bus } = await setup(t)
  const again = bus.subscribe(
    { group: 'g', topics: ['t', 'u'], codec: textCodec() },
    async () => {},
  )
  await assert.rejects(again, /subscribed to t already/)
})

test('statements go to the database that `begin` opens, and events do not', async t => {
  const statements: string[] = []
  const database = {
    unsafe: async (text: string) => {
      statements.push(text)
      return []
    },
  } as unknown as Tx
  const { bus, handled } = await setup(t, { begin: work => work(database) })
  await bus.transaction(async tx => {
    await tx.unsafe('update orders')
    await bus.publish(eventOf('t', 'a:1'), tx)
  })
  await bus.idle()
  assert.deepEqual(statements, ['update orders'])
  assert.deepEqual(handled, ['{"n":1}'])
})

test('a transaction that `begin` runs again publishes once', async t => {
  const database = { unsafe: async () => [] } as unknown as Tx
  let again = true
  const begin: MemoryBusOptions['begin'] = async work => {
    if (again) await work(database)
    again = false
    return work(database)
  }
  const { bus, handled } = await setup(t, { begin })
  await bus.transaction(tx => bus.publish(eventOf('t', 'a:1'), tx))
  await bus.idle()
  assert.deepEqual(handled, ['{"n":1}'])
})
