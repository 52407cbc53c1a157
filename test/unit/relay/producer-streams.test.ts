import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../../src/errors.ts'
import { withDeadline } from '../../../src/internal/deadline.ts'
import type { OutboxEvent } from '../../../src/outbox/event.ts'
import type { Outcome, Producer, Unknown } from '../../../src/relay/producer.ts'
import {
  ProducerStreams,
  type ProducerStreamsOptions,
} from '../../../src/relay/producer-streams.ts'
import { sampleEvents } from '../../contract/sample-event.ts'
import { InMemoryProducer } from '../../support/in-memory-producer.ts'
import { until } from '../../support/until.ts'

const DEADLINE_MS = 2_000
const late = () => new Error('it took too long')
const within = <T>(work: Promise<T>) => withDeadline(work, DEADLINE_MS, late)
const soon = (what: string, predicate: () => boolean) =>
  until(predicate, { deadlineMs: DEADLINE_MS, what })

const unsure = { kind: 'unknown', fault: 'broker', scope: 'cluster' } as const
const timeout: Unknown = { ...unsure, code: 'timeout', message: 'no answer' }

function setup(options: ProducerStreamsOptions = {}) {
  const producer = new InMemoryProducer()
  producer.createTopic('orders', 1)
  const streams = new ProducerStreams(producer, { faultPauseMs: 1, ...options })
  const stored = () => producer.read('orders').map(({ value }) => String(value))
  return { producer, streams, stored, writer: streams.getInput().getWriter() }
}

/** Events 0, 1, 2, … as their payloads, of these keys in turn. */
function numbered(length: number, keys: readonly (string | null)[] = ['k']): OutboxEvent[] {
  return sampleEvents(
    Array.from({ length }, (_, n) => ({ key: keys[n % keys.length] ?? null, payload: String(n) })),
  )
}

/** Everything that a stream holds until its end. */
async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

const payloads = (items: readonly { readonly event: OutboxEvent }[]) =>
  items.map(({ event }) => String(event.payload))

test('what is written comes out on successes, with its place, and in the order of its key', async () => {
  const { streams, writer, stored, producer } = setup({ batchSize: 50 })
  assert.equal(streams.getInput(), streams.getInput())
  const reading = all(streams.getSuccesses())
  const errors = all(streams.getErrors())
  const events = numbered(300, ['a', 'b', null])
  for (const event of events) await writer.write(event)
  await within(writer.close())
  const successes = await within(reading)
  assert.deepEqual(payloads(successes), payloads(events.map(event => ({ event }))))
  assert.deepEqual(successes[7]?.offset, '7')
  assert.deepEqual(stored(), payloads(successes))
  assert.deepEqual(await errors, [])
  assert.ok(producer.batches.every(batch => batch.length <= 50))
  assert.ok(producer.batches.length < 300, 'what waits goes together')
})

test('a refusal for good comes out on errors, and its key goes on by itself', async () => {
  const { streams, writer, stored } = setup({ batchSize: 4 })
  const bad = new Set([6, 7, 9])
  const events = numbered(30).map((event, n) =>
    bad.has(n) ? { ...event, headersJson: '{"n":1}' } : event,
  )
  const reading = Promise.all([all(streams.getSuccesses()), all(streams.getErrors())])
  for (const event of events) void writer.write(event)
  await within(writer.close())
  const [successes, errors] = await within(reading)
  const good = payloads(numbered(30).map(event => ({ event }))).filter(n => !bad.has(Number(n)))
  assert.deepEqual(payloads(successes), good)
  assert.deepEqual(stored(), good)
  assert.deepEqual(payloads(errors), ['6', '7', '9'])
  assert.ok(errors.every(({ outcome }) => outcome.code === 'invalid_headers'))
})

test('what stood behind a refusal for good is not overtaken by what still waits to be retried', async () => {
  const { streams, writer, producer, stored } = setup()
  producer.outage = timeout
  const reader = streams.getErrors().getReader()
  const [first, second, third, fourth] = numbered(4)
  const bad = { ...second!, headersJson: '{"n":1}' }
  for (const event of [first!, bad, third!, fourth!]) {
    await writer.write(event)
    await within(reader.read())
  }
  producer.outage = null
  for (const event of [first!, bad, third!]) streams.retry(event)
  assert.equal((await within(reader.read())).value?.outcome.code, 'invalid_headers')
  await soon('the third is published', () => stored().length === 2)
  streams.retry(fourth!)
  await soon('the fourth is published', () => stored().length === 3)
  assert.deepEqual(stored(), ['0', '2', '3'])
})

test('batches are bounded by bytes, but an event that is larger goes alone', async () => {
  const { writer, producer } = setup({ batchBytesMax: 10 })
  const events = ['12345', '12345', '12345', 'larger than ten', '1'].map(payload => ({ payload }))
  for (const event of sampleEvents([{ payload: '0' }, ...events])) void writer.write(event)
  await within(writer.close())
  assert.deepEqual(
    producer.batches.slice(-3).map(batch => batch.map(({ payload }) => payload)),
    [['12345'], ['larger than ten'], ['1']],
  )
})

test('a failed event holds its key alone, until it is retried: then its key’s order is what was written', async () => {
  const { streams, writer, producer, stored } = setup()
  producer.outage = timeout
  const events = numbered(6, ['a', 'a', 'b'])
  const reader = streams.getErrors().getReader()
  await writer.write(events[0]!)
  assert.equal((await within(reader.read())).value?.outcome.code, 'timeout')
  producer.outage = null
  for (const event of events.slice(1)) await writer.write(event)
  await soon('the other key is published', () => stored().length === 2)
  assert.deepEqual(stored(), ['2', '5'])
  const failed = [events[0]!]
  for (let n = 0; n < 3; n++) {
    const { value } = await within(reader.read())
    assert.equal(value?.outcome.code, 'key_held')
    failed.push(value!.event)
  }
  for (const event of failed) streams.retry(event)
  await soon('all are published', () => stored().length === 6)
  assert.deepEqual(stored(), ['2', '5', '0', '1', '3', '4'])
  void streams.getSuccesses().cancel()
  await within(writer.close())
})

test('written to the input again is retried as well, and never overtaken', async () => {
  const { streams, writer, producer, stored } = setup()
  producer.outage = timeout
  const events = numbered(3)
  const reader = streams.getErrors().getReader()
  await writer.write(events[0]!)
  await within(reader.read())
  producer.outage = null
  await writer.write(events[2]!)
  await within(reader.read())
  await writer.write(events[0]!)
  await writer.write(events[2]!)
  await soon('both are published', () => stored().length === 2)
  assert.deepEqual(stored(), ['0', '2'])
})

test('an event that was given up lets its key go on', async () => {
  const { streams, writer, producer, stored } = setup()
  producer.outage = timeout
  const [first, second] = numbered(2)
  const reader = streams.getErrors().getReader()
  await writer.write(first!)
  const { value } = await within(reader.read())
  producer.outage = null
  streams.giveUp(value!.event)
  await writer.write(second!)
  await soon('the second is published', () => stored().length === 1)
  assert.deepEqual(stored(), ['1'])
})

test('through outages, a loop that retries loses nothing and keeps every key’s order', async () => {
  const { streams, writer, producer, stored } = setup({ batchSize: 16, queueMax: 20 })
  const publish = producer.publish.bind(producer)
  let batches = 0
  // Every third batch fails in part: what comes behind the third of its events is not stored.
  producer.publish = async (batch, untilMs) => {
    if (batches++ % 3 !== 1) return publish(batch, untilMs)
    const outcomes = await publish(batch.slice(0, 3), untilMs)
    return [...outcomes, ...batch.slice(3).map((): Outcome => timeout)]
  }
  const answering = (async () => {
    for await (const { event } of streams.getErrors()) streams.retry(event)
  })()
  void streams.getSuccesses().cancel()
  const events = numbered(500, ['a', 'b', 'c'])
  for (const event of events) await writer.write(event)
  await soon('all are published', () => new Set(stored()).size === 500)
  await within(writer.close())
  await within(answering)
  const last = new Map<string, number>()
  for (const { key, value } of producer.read('orders')) {
    const n = Number(value)
    assert.ok(n > (last.get(String(key)) ?? -1), `${key}: ${n} behind ${last.get(String(key))}`)
    last.set(String(key), n)
  }
})

test('while nobody reads, a bounded number of events is sent, and then the writer waits', async () => {
  const { writer, streams, stored, producer } = setup({ batchSize: 5, queueMax: 10 })
  const events = numbered(100)
  let written = 0
  const writing = (async () => {
    for (const event of events) {
      await writer.write(event)
      written++
    }
  })()
  await soon('the successes are full', () => stored().length >= 10)
  // Whatever could still go on has had its turn.
  await new Promise(settle => setImmediate(settle))
  assert.ok(stored().length < 15, `${stored().length} were sent`)
  assert.ok(written < 30, `${written} were written`)
  const reading = all(streams.getSuccesses())
  await within(writing)
  await within(writer.close())
  assert.equal((await within(reading)).length, 100)
  assert.ok(producer.batches.length >= 20)
})

test('outputs that were cancelled hold nothing up', async () => {
  const { writer, streams, producer, stored } = setup({ batchSize: 5, queueMax: 10 })
  await streams.getSuccesses().cancel()
  await streams.getErrors().cancel()
  producer.outage = timeout
  for (const event of numbered(50)) await within(writer.write(event))
  await soon('they have failed', () => producer.batches.flat().length === 50)
  producer.outage = null
  for (const event of numbered(50)) await within(writer.write(event))
  await within(writer.close())
  assert.equal(stored().length, 50)
})

test('an abort sends nothing more, and gives back what was not sent, though nobody has made room', async () => {
  const { writer, streams, producer } = setup({ batchSize: 2, queueMax: 4 })
  let answer = () => {}
  producer.publish = batch =>
    new Promise(settle => {
      answer = () => settle(batch.map(() => ({ kind: 'acked', partition: 0, offset: '0' })))
    })
  const writes = numbered(6, [null]).map(event => writer.write(event).catch(() => 'refused'))
  await soon('the first batch is in flight', () => answer.length === 0 && writer.desiredSize !== 1)
  const aborting = writer.abort(new Error('enough'))
  answer()
  await within(aborting)
  const [successes, errors] = await Promise.all([
    within(all(streams.getSuccesses())),
    within(all(streams.getErrors())),
  ])
  const refused = (await Promise.all(writes)).filter(each => each === 'refused').length
  assert.equal(successes.length + errors.length + refused, 6)
  assert.ok(errors.every(({ outcome }) => outcome.code === 'aborted'))
  assert.throws(() => streams.retry(numbered(1)[0]!), codeOf('lifecycle'))
})

test('an abort ends a close that waits for a reader', async () => {
  const { writer, streams, stored } = setup({ batchSize: 1, queueMax: 2 })
  for (const event of numbered(3)) await within(writer.write(event))
  await soon('the successes are full', () => stored().length === 2)
  const closing = writer.close().catch(() => {})
  await within(writer.abort(new Error('enough')))
  await within(closing)
  assert.deepEqual(payloads(await all(streams.getSuccesses())), ['0', '1'])
  assert.deepEqual(payloads(await all(streams.getErrors())), ['2'])
})

test('a producer that answers nothing costs the deadline, one that rejects nothing but its events’ time', async () => {
  const deaf: Producer = { publish: () => new Promise(() => {}), close: async () => {} }
  const torn: Producer = { publish: () => Promise.reject(new Error('torn')), close: async () => {} }
  for (const [producer, message] of [
    [deaf, /deadline/],
    [torn, /torn/],
  ] as const) {
    const streams = new ProducerStreams(producer, { publishTimeoutMs: 10 })
    const reading = all(streams.getErrors())
    const writer = streams.getInput().getWriter()
    void writer.write(numbered(1)[0]!)
    await withDeadline(writer.close(), 5_000, late)
    const [error] = await reading
    assert.equal(error?.outcome.code, 'producer_failed')
    assert.match(error?.outcome.message ?? '', message)
  }
})

test('failed events that nobody answers for end the streams before they fill the memory', async () => {
  const { streams, writer, producer } = setup()
  producer.outage = timeout
  const reading = all(streams.getErrors())
  const write = async () => {
    for (const event of numbered(12_000)) await writer.write(event)
  }
  await assert.rejects(withDeadline(write(), 20_000, late), codeOf('lifecycle'))
  assert.ok((await within(reading)).length > 10_000)
})

test('limits that are no positive whole numbers are refused by name', () => {
  const producer = new InMemoryProducer()
  assert.throws(() => new ProducerStreams(producer, { queueMax: 0 }), /queueMax is 0/)
  assert.throws(() => new ProducerStreams(producer, { batchSize: 1.5 }), codeOf('options'))
})

function codeOf(code: string) {
  return (error: unknown) => error instanceof SluiceError && error.code === code
}
