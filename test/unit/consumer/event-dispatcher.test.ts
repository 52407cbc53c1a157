import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Context } from '../../../src/consumer/bus.ts'
import { jsonCodec, textCodec } from '../../../src/consumer/codecs.ts'
import { dispatcher, type EventDispatcherOptions } from '../../../src/consumer/event-dispatcher.ts'
import type { Message, SourceRecord } from '../../../src/consumer/message.ts'
import { BadMessage } from '../../../src/consumer/outcome.ts'
import { SluiceError } from '../../../src/errors.ts'
import { sourceRecord } from './source-record.ts'

interface Line {
  readonly level: string
  readonly message: string
  readonly facts: Record<string, unknown>
}

function setup(options: Partial<EventDispatcherOptions> = {}) {
  const lines: Line[] = []
  const at = (level: string) => (facts: object, message: string) => {
    lines.push({ level, message, facts: { ...facts } })
  }
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  const handled: unknown[] = []
  const users = dispatcher({ unknown: 'bad', log, op: 'users', ...options })
    .on('USER_CREATED', jsonCodec<{ name: string }>(), async ({ value, type }) => {
      handled.push([type, value.name])
    })
    .on('USER_NOTE', textCodec(), async ({ value }) => {
      handled.push(value)
      return { kind: 'hold', reason: 'not yet' }
    })
  const told = () => lines.map(({ message }) => message)
  /** As the kit does: it reads, and only then handles. */
  const receive = async (record: SourceRecord): Promise<unknown> => {
    const id = users.envelope.id(record) ?? ''
    const type = users.envelope.type(record) ?? ''
    if (id === '' || type === '') return { kind: 'bad', reason: 'no id or type' }
    const value = users.codec.decode(record.value, record)
    const { topic, partition, offset } = record
    const at = new Date(record.timestampMs)
    const message: Message<typeof value> = {
      ...{ id, type, topic, partition, offset, key: 'k', at, headers: {}, value },
    }
    return users.handler(message, { log } as unknown as Context)
  }
  return { users, lines, told, handled, receive }
}

const created = (value: string, eventType = 'USER_CREATED') =>
  sourceRecord({
    value: Buffer.from(value),
    headers: { event_id: 'e-1', event_type: eventType },
  })

test('each type of event is decoded by its own codec and handled by its own handler', async () => {
  const { receive, handled } = setup()
  await receive(created('{"name":"Ada"}'))
  const outcome = await receive(created('plain', 'USER_NOTE'))
  assert.deepEqual(handled, [['USER_CREATED', 'Ada'], 'plain'])
  assert.deepEqual(outcome, { kind: 'hold', reason: 'not yet' })
})

test('a message that was handled is told with its place, and without its payload', async () => {
  const { receive, lines } = setup()
  await receive(created('{"name":"Ada"}'))
  const facts = { op: 'users', eventId: 'e-1', eventType: 'USER_CREATED' }
  const place = { topic: 't', partition: 0, offset: '7' }
  const line = { level: 'debug', message: 'successfully consume message' }
  assert.deepEqual(lines, [{ ...line, facts: { ...facts, ...place } }])
})

test('the payload is told where that is asked for', async () => {
  const { receive, lines } = setup({ logPayload: true })
  await receive(created('{"name":"Ada"}'))
  assert.deepEqual(lines[0]?.facts.payload, { name: 'Ada' })
})

test('a message that was not handled is not told as a success', async () => {
  const { receive, told } = setup()
  await receive(created('plain', 'USER_NOTE'))
  assert.deepEqual(told(), [])
})

test('a payload that its codec refuses is bad, and its type is told', async () => {
  const { receive, lines, handled } = setup()
  await assert.rejects(receive(created('{"name"')), BadMessage)
  assert.equal(lines[0]?.message, 'invalid payload')
  assert.equal(lines[0]?.facts.eventType, 'USER_CREATED')
  assert.deepEqual(handled, [])
})

test('an unknown type is bad, or ignored where that is wanted; it is told either way', async () => {
  const strict = setup()
  await assert.rejects(strict.receive(created('{}', 'USER_LOST')), BadMessage)
  assert.deepEqual(strict.told(), ['invalid event type'])
  const lenient = setup({ unknown: 'ignore' })
  const outcome = await lenient.receive(created('{}', 'USER_LOST'))
  assert.deepEqual(outcome, { kind: 'drop', why: 'ignored' })
  assert.deepEqual(lenient.told(), ['invalid event type'])
})

test('a record without an id or a type is told', async () => {
  const { receive, told } = setup()
  await receive(sourceRecord({ headers: { event_type: 'USER_CREATED' } }))
  await receive(sourceRecord({ headers: { event_id: 'e-1', event_type: '' } }))
  assert.deepEqual(told(), ['empty event ID', 'empty event type'])
})

test('a type has one handler', () => {
  const { users } = setup()
  assert.throws(
    () => users.on('USER_NOTE', textCodec(), async () => {}),
    error => error instanceof SluiceError && error.code === 'options',
  )
})

test('types named like members of objects are types like others', async () => {
  const { receive, told } = setup()
  await assert.rejects(receive(created('{}', 'constructor')), BadMessage)
  assert.deepEqual(told(), ['invalid event type'])
})
