import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Handler, SubscribeOptions } from '../../../src/consumer/bus.ts'
import { BatchHandling, Handling } from '../../../src/consumer/handling.ts'
import type { Message } from '../../../src/consumer/message.ts'
import { NotDone } from '../../../src/consumer/message-handling.ts'
import { settingsOf } from '../../../src/consumer/subscription-options.ts'
import type { Tx } from '../../../src/consumer/tx.ts'
import type { Log } from '../../../src/telemetry/log.ts'
import { JSON_CODEC, NO_LOG } from '../../support/engine-rig.ts'
import { type RecordShape, recordOf } from '../../support/in-memory-source.ts'

const NEVER = new AbortController().signal
const NO_TX = {} as Tx

interface Given {
  readonly handler?: Handler<unknown>
  readonly log?: Log
  readonly options?: Partial<SubscribeOptions>
}

function handling({ handler = async () => {}, log = NO_LOG, options = {} }: Given = {}) {
  const settings = settingsOf({
    group: 'billing',
    topics: ['orders'],
    codec: JSON_CODEC,
    ...options,
  })
  return new Handling({ settings, handler, log, call: (_, work, signal) => work(signal) })
}

function messageOf(shape: RecordShape, given: Given = {}): Message {
  const reading = handling(given).read(recordOf(shape))
  assert.ok(reading.kind === 'message', reading.kind)
  return reading.message
}

/** A transaction that keeps what the outbox's statement is given. */
function recordingTx() {
  const events: Record<string, unknown>[] = []
  const tx = {
    savepoint() {},
    unsafe: async (_: string, [document]: [string]) => {
      const written = JSON.parse(document) as Record<string, unknown>[]
      events.push(...written)
      return [{ written: written.length }]
    },
  }
  return { tx: tx as unknown as Tx, events }
}

async function outcomeOf(work: Promise<void>) {
  try {
    await work
    return { kind: 'done' }
  } catch (error) {
    assert.ok(error instanceof NotDone, String(error))
    return error.outcome
  }
}

test('a record becomes a message with its id, type, headers and value', () => {
  const at = Date.now()
  const message = messageOf({
    offset: 3,
    key: 'ä',
    value: '{"a":1}',
    timestampMs: at,
    id: 'i',
    headers: { x: 'ö' },
  })
  assert.deepEqual(
    { ...message, headers: { ...message.headers } },
    {
      id: 'i',
      type: 'Made',
      topic: 'orders',
      partition: 0,
      offset: 3n,
      key: 'ä',
      at: new Date(at),
      headers: { event_id: 'i', event_type: 'Made', x: 'ö' },
      value: { a: 1 },
    },
  )
})

test('of a header that comes twice the last counts, and no value takes it away', () => {
  const record = recordOf({ offset: 0 })
  const headers = [
    ...record.headers,
    { name: 'a', value: Buffer.from('1') },
    { name: 'a', value: Buffer.from('2') },
    { name: 'b', value: Buffer.from('1') },
    { name: 'b', value: null },
    { name: '__proto__', value: Buffer.from('p') },
  ]
  const reading = handling().read({ ...record, headers })
  assert.ok(reading.kind === 'message')
  assert.equal(reading.message.headers.a, '2')
  assert.equal('b' in reading.message.headers, false)
  assert.ok(Object.keys(reading.message.headers).includes('__proto__'))
  assert.equal(reading.message.headers.constructor, undefined)
})

const BAD: [string, RecordShape, string, RegExp][] = [
  ['without id', { offset: 1, id: null }, 'orders/0/1', /no id/],
  ['with an empty id', { offset: 1, id: '' }, 'orders/0/1', /no id/],
  ['with an id that cannot be stored', { offset: 1, id: 'a\0' }, 'orders/0/1', /no id/],
  ['with an id that no index takes', { offset: 1, id: 'x'.repeat(513) }, 'orders/0/1', /512/],
  ['without type', { offset: 1, id: 'a', type: null }, 'a', /no type/],
  ['that cannot be decoded', { offset: 1, id: 'a', value: 'pin' }, 'a', /^SyntaxError: /],
  [
    'with a bad delay',
    { offset: 1, id: 'a', headers: { 'twr-delay-until': 'x' } },
    'a',
    /twr-delay-until is no time/,
  ],
  [
    'with a bad expiry',
    { offset: 1, id: 'a', headers: { 'twr-expires-at': 'x' } },
    'a',
    /twr-expires-at is no time/,
  ],
]

for (const [name, shape, messageId, reason] of BAD) {
  test(`a record ${name} is bad`, () => {
    const reading = handling().read(recordOf(shape))
    assert.ok(reading.kind === 'bad')
    assert.equal(reading.delivery.messageId, messageId)
    assert.match(reading.reason, reason)
    assert.doesNotMatch(reading.reason, /pin/)
  })
}

test('an envelope that throws makes the record bad', () => {
  const envelope = {
    id: () => {
      throw new Error('mine')
    },
    type: () => 'x',
  }
  const reading = handling({ options: { envelope } }).read(recordOf({ offset: 1 }))
  assert.ok(reading.kind === 'bad')
  assert.match(reading.reason, /mine/)
})

test('a record for another group is ignored, one for this group is not', () => {
  const read = (group: string) =>
    handling().read(recordOf({ offset: 1, headers: { 'twr-replay-group': group } })).kind
  assert.equal(read('other'), 'ignored')
  assert.equal(read('billing'), 'message')
})

test('only keyed records are ordered, with order by key, unless their header lifts it', () => {
  const ordered = (shape: RecordShape, order: 'key' | 'partition' | 'none' = 'key') =>
    handling({ options: { order } }).read(recordOf(shape)).delivery.ordered
  assert.equal(ordered({ offset: 1, key: 'a' }), true)
  assert.equal(ordered({ offset: 1, key: '' }), true)
  assert.equal(ordered({ offset: 1 }), false)
  assert.equal(ordered({ offset: 1, key: 'a', headers: { 'twr-ordered': 'false' } }), false)
  assert.equal(ordered({ offset: 1, key: 'a' }, 'partition'), false)
  assert.equal(ordered({ offset: 1, key: 'a' }, 'none'), false)
})

test('a message expires as its header says, else by the time to live from its own time', () => {
  const expiry = (shape: RecordShape) => {
    const reading = handling({ options: { ttlMs: 1_000 } }).read(recordOf(shape))
    assert.ok(reading.kind === 'message')
    return reading.expiresAt?.getTime()
  }
  assert.equal(expiry({ offset: 1, timestampMs: 5_000 }), 6_000)
  const header = { 'twr-expires-at': '1970-01-01T00:00:09Z' }
  assert.equal(expiry({ offset: 1, timestampMs: 5_000, headers: header }), 9_000)
})

test('the id of a task goes before that of its record', () => {
  const reading = handling().read(recordOf({ offset: 1, id: 'a' }), 'task-1')
  assert.ok(reading.kind === 'message')
  assert.equal(reading.delivery.messageId, 'task-1')
  assert.equal(reading.message.id, 'task-1')
})

test('a handler may return nothing, an outcome, or something else', async () => {
  const returned = (value: unknown) =>
    outcomeOf(
      handling({ handler: async () => value as undefined }).handle(
        messageOf({ offset: 0 }),
        NO_TX,
        { attempt: 1, signal: NEVER },
      ),
    )
  assert.deepEqual(await returned(undefined), { kind: 'done' })
  assert.deepEqual(await returned({ kind: 'done' }), { kind: 'done' })
  assert.deepEqual(await returned([{ id: 1 }]), { kind: 'done' })
  assert.deepEqual(await returned({ kind: 'hold', reason: 'x' }), { kind: 'hold', reason: 'x' })
})

test('a handler that is too slow is told by its signal, and given up', async () => {
  let reason: unknown
  const slow = handling({
    options: { handlerTimeoutMs: 10 },
    handler: async (_, { signal }) => {
      await new Promise<void>(settle => signal.addEventListener('abort', () => settle()))
      reason = signal.reason
      throw new Error('too late to matter')
    },
  })
  const options = { attempt: 1, signal: NEVER }
  const outcome = await outcomeOf(slow.handle(messageOf({ offset: 0 }), NO_TX, options))
  assert.deepEqual(outcome, { kind: 'retry', reason: 'handler_timeout' })
  assert.ok(reason instanceof NotDone)
})

test('a signal that is asked for after the end is aborted already', async () => {
  let aborted: boolean | undefined
  const slow = handling({
    options: { handlerTimeoutMs: 10 },
    handler: async (_, context) => {
      await new Promise(settle => setTimeout(settle, 40))
      aborted = context.signal.aborted
    },
  })
  const options = { attempt: 1, signal: NEVER }
  await outcomeOf(slow.handle(messageOf({ offset: 0 }), NO_TX, options))
  while (aborted === undefined) await new Promise(settle => setTimeout(settle, 5))
  assert.equal(aborted, true)
})

test('a handler that is aborted from outside is given up at once', async () => {
  const leave = new AbortController()
  const stuck = handling({ handler: () => new Promise(() => {}) })
  const handled = stuck.handle(messageOf({ offset: 0 }), NO_TX, {
    attempt: 1,
    signal: leave.signal,
  })
  leave.abort()
  assert.deepEqual(await outcomeOf(handled), { kind: 'retry', reason: 'given_up' })
})

test('published events go to the outbox in the transaction', async () => {
  const { tx, events } = recordingTx()
  class OrderPaid {
    messageKey = () => 'o-1'
    messageData = () => ({ total: 3 })
    topicName = () => 'payments'
  }
  const paid = handling({ handler: async (_, context) => await context.publish(new OrderPaid()) })
  await paid.handle(messageOf({ offset: 0 }), tx, { attempt: 1, signal: NEVER })
  const [{ topic, key, event_type, payload }] = events as [Record<string, unknown>]
  assert.deepEqual(
    [topic, key, event_type, payload],
    ['payments', 'o-1', 'OrderPaid', '{"total":3}'],
  )
})

test('a reply goes to where the message says, with its correlation', async () => {
  const { tx, events } = recordingTx()
  const answering = handling({ handler: async (_, context) => await context.reply({ ok: true }) })
  const headers = { reply_to: 'answers', reply_partition: '4', correlation_id: 'c-9' }
  await answering.handle(messageOf({ offset: 0, headers }), tx, { attempt: 1, signal: NEVER })
  assert.equal(events[0]?.topic, 'answers')
  assert.deepEqual(events[0]?.headers, {
    correlation_id: 'c-9',
    reply_partition: '4',
    'sluice-partition': '4',
  })
  assert.equal(events[0]?.payload, '{"ok":true}')
  await assert.rejects(
    answering.handle(messageOf({ offset: 0 }), tx, { attempt: 1, signal: NEVER }),
    /BadMessage: it has no header reply_to/,
  )
})

test('a reply without a partition is published by its key, and a partition that is none is a bad message', async () => {
  const { tx, events } = recordingTx()
  const answering = handling({ handler: async (_, context) => await context.reply({ ok: true }) })
  const options = { attempt: 1, signal: NEVER }
  const anywhere = messageOf({ offset: 0, headers: { reply_to: 'answers', correlation_id: 'c-9' } })
  await answering.handle(anywhere, tx, options)
  assert.deepEqual(events[0]?.headers, { correlation_id: 'c-9' })
  for (const partition of ['', '-1', 'four', '4294967296']) {
    const headers = { reply_to: 'answers', reply_partition: partition }
    await assert.rejects(
      answering.handle(messageOf({ offset: 0, headers }), tx, options),
      /BadMessage: its header reply_partition is no number of a partition/,
    )
  }
  assert.equal(events.length, 1)
})

test('calls go through the dependency with the signal of the handler', async () => {
  let same: boolean | undefined
  const calling = handling({
    handler: async (_, context) => {
      const signal = await context.call('payments', async given => given)
      same = signal === context.signal
    },
  })
  await calling.handle(messageOf({ offset: 0 }), NO_TX, { attempt: 1, signal: NEVER })
  assert.equal(same, true)
})

test('what a handler logs says which message it was', async () => {
  const lines: object[] = []
  const log = { ...NO_LOG, info: (facts: object) => void lines.push(facts) }
  const logging = handling({ log, handler: async (_, context) => context.log.info({ a: 1 }, 'x') })
  await logging.handle(messageOf({ offset: 5, id: 'i' }), NO_TX, { attempt: 1, signal: NEVER })
  assert.deepEqual(lines, [
    { group: 'billing', topic: 'orders', partition: 0, offset: '5', messageId: 'i', a: 1 },
  ])
})

test('a batch handler gets a single message as a batch of one', async () => {
  const sizes: number[] = []
  const settings = settingsOf({ group: 'g', topics: ['t'], codec: JSON_CODEC })
  const parts = {
    settings,
    log: NO_LOG,
    call: <T>(_: string, work: (signal: AbortSignal) => Promise<T>) => work(NEVER),
  }
  const batch = new BatchHandling(async messages => void sizes.push(messages.length), parts)
  const message = messageOf({ offset: 0 })
  await batch.handle(message, NO_TX, { attempt: 1, signal: NEVER })
  await batch.handleBatch([message, message], NO_TX, { signal: NEVER })
  assert.deepEqual(sizes, [1, 2])
})
