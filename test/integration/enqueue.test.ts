import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { SluiceError } from '../../src/errors.ts'
import { EVENTS_MAX, enqueue } from '../../src/outbox/enqueue.ts'
import type { NewEvent } from '../../src/outbox/new-event.ts'
import { setup, writers } from '../support/writers.ts'

const event: NewEvent = { topic: 'orders', key: 'order-17', eventType: 'OrderPlaced' }
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

test('one event is written by either driver and its id returned', async t => {
  const { rows, ...database } = await setup(t)
  const { sql } = database
  for (const [driver, write] of await writers(database)) {
    await sql`truncate outbox.events`
    const id = await write({ ...event, payload: { total: 1 }, headers: { source: 'shop' } })
    assert.match(id, UUID)
    const [row] = await rows()
    const { lane, id: _, ...rest } = row as Record<string, unknown>
    assert.ok(Number(lane) >= 0 && Number(lane) < 64)
    assert.deepEqual(
      rest,
      {
        event_id: id,
        topic: 'orders',
        key: 'order-17',
        event_type: 'OrderPlaced',
        payload: '{"total":1}',
        payload_bytes: null,
        headers: { source: 'shop' },
        not_before: null,
        expires_at: null,
        attempts: 0,
      },
      driver,
    )
  }
})

test('a thousand events of one key get ascending ids in the given order', async t => {
  const { rows, ...database } = await setup(t)
  const { sql } = database
  for (const [driver, write] of await writers(database)) {
    await sql`truncate outbox.events`
    const ids = await write(Array.from({ length: 1_000 }, (_, n) => ({ ...event, payload: n })))
    const written = await rows()
    assert.deepEqual(
      written.map(row => row.payload),
      ids.map((_, n) => String(n)),
      driver,
    )
    assert.deepEqual(
      written.map(row => row.event_id),
      ids,
      driver,
    )
    assert.equal(new Set(written.map(row => row.lane)).size, 1)
  }
})

test('a rollback leaves nothing', async t => {
  const { rows, ...database } = await setup(t)
  for (const [driver, write] of await writers(database)) {
    const ids = await write([event, event], 'rollback')
    assert.equal(ids.length, 2)
    assert.equal((await rows()).length, 0, driver)
  }
})

test('a savepoint that is rolled back takes its events with it', async t => {
  const { sql, rows } = await setup(t)
  await sql.begin(async tx => {
    await enqueue(tx, { ...event, key: 'kept' })
    const inner = tx.savepoint(async nested => {
      await enqueue(nested, { ...event, key: 'undone' })
      throw new Error('undo')
    })
    await assert.rejects(inner, /undo/)
  })
  assert.deepEqual(
    (await rows()).map(row => row.key),
    ['kept'],
  )
})

test('the most events of one call are written by one call', async t => {
  const { sql } = await setup(t)
  const events = Array.from({ length: EVENTS_MAX }, () => event)
  const ids = await sql.begin(tx => enqueue(tx, events))
  assert.equal(new Set(ids).size, EVENTS_MAX)
  const [row] = await sql`select count(*)::int as n from outbox.events`
  assert.equal(row?.n, EVENTS_MAX)
})

test('JSON text reaches the column verbatim', async t => {
  const { rows, ...database } = await setup(t)
  const { sql } = database
  const texts = [
    '{"z":1,  "a":90071992547409931234567890,\n\t"z":2}',
    '[1.10, 1e400, -0, 0.30000000000000004]',
    '"\\u0000 \\ud800 \\u00e9 \\/ é 😀 \u2028"',
    ' null ',
    '"a\\"b\\\\c"',
    '{}',
    '"$1 ? :x \'"',
  ]
  for (const [driver, write] of await writers(database)) {
    await sql`truncate outbox.events`
    await write(texts.map(payloadJson => ({ ...event, payloadJson })))
    assert.deepEqual(
      (await rows()).map(row => row.payload),
      texts,
      driver,
    )
  }
})

test('a payload value reaches the column as JSON.stringify writes it', async t => {
  const { rows, ...database } = await setup(t)
  const { sql } = database
  const values = [
    { b: [1, 0.1, 2 ** 53], a: 'é\0\ud800', at: new Date(0), none: undefined },
    'text',
    null,
    false,
    0,
    '',
    [],
  ]
  for (const [driver, write] of await writers(database)) {
    await sql`truncate outbox.events`
    await write(values.map(payload => ({ ...event, payload })))
    assert.deepEqual(
      (await rows()).map(row => row.payload),
      values.map(value => JSON.stringify(value)),
      driver,
    )
  }
})

test('bytes reach the column untouched', async t => {
  const { rows, ...database } = await setup(t)
  const { sql } = database
  const all = Uint8Array.from({ length: 256 }, (_, n) => n)
  for (const [driver, write] of await writers(database)) {
    await sql`truncate outbox.events`
    await write([
      { ...event, payloadBytes: all },
      { ...event, payloadBytes: new Uint8Array() },
      { ...event, payloadBytes: all.subarray(250) },
    ])
    const written = (await rows()).map(row => [...row.payload_bytes])
    assert.deepEqual(written, [[...all], [], [250, 251, 252, 253, 254, 255]], driver)
  }
})

test('odd but legal events are written as they are', async t => {
  const { rows, ...database } = await setup(t)
  const { sql } = database
  const headers = { '': '', 'x-é😀': 'ü\n\t"\\', toJSON: 'text', ['__proto__']: 'own' }
  const events: NewEvent[] = [
    { ...event, key: '' },
    { ...event, key: null },
    { ...event, key: 'κλειδί-鍵-🔑-\u2028-\u200d' },
    { ...event, key: '\'; drop table outbox.events; --"\\' },
    { ...event, key: 'k'.repeat(100_000), eventType: 'é'.repeat(1_000) },
    { ...event, key: 'headers', headers },
    { ...event, key: 'big', payload: 'é'.repeat(500_000) },
    { ...event, key: 'big bytes', payloadBytes: new Uint8Array(1_000_000) },
    { ...event, key: 'tombstone' },
  ]
  for (const [driver, write] of await writers(database)) {
    await sql`truncate outbox.events`
    await write(events)
    const written = await rows()
    assert.deepEqual(
      written.map(row => row.key),
      events.map(({ key }) => key),
      driver,
    )
    const row = (key: string) => written.find(each => each.key === key)
    assert.deepEqual(Object.entries(row('headers')?.headers).sort(), Object.entries(headers).sort())
    assert.equal(row('big')?.payload.length, 500_002)
    assert.equal(row('big bytes')?.payload_bytes.length, 1_000_000)
    assert.equal(row('tombstone')?.payload, null)
    assert.equal(row('tombstone')?.payload_bytes, null)
  }
})

test('the given id and times are kept', async t => {
  const { sql, rows } = await setup(t)
  const eventId = '0191E4B2-0000-7000-8000-00000000000A'
  const notBefore = new Date('2031-02-03T04:05:06.789Z')
  const expiresAt = new Date('9999-12-31T23:59:59.999Z')
  const id = await sql.begin(async tx => {
    await tx`set local timezone to 'Asia/Kathmandu'`
    await tx`set local datestyle to 'SQL, DMY'`
    return enqueue(tx, { ...event, eventId, notBefore, expiresAt })
  })
  const [row] = await rows()
  assert.equal(id, eventId.toLowerCase())
  assert.equal(row?.event_id, id)
  assert.deepEqual([row?.not_before, row?.expires_at], [notBefore, expiresAt])
})

test('a bad event among good ones writes none and leaves the transaction usable', async t => {
  const { sql, rows } = await setup(t)
  await sql.begin(async tx => {
    const events = [event, { ...event, topic: 'a b' }, event]
    await assert.rejects(
      enqueue(tx, events),
      (error: unknown) =>
        error instanceof SluiceError && error.code === 'event' && /events\[1\]/.test(error.message),
    )
    await enqueue(tx, { ...event, key: 'after' })
  })
  assert.deepEqual(
    (await rows()).map(row => row.key),
    ['after'],
  )
})

test('a pool takes events when autocommit is wanted', async t => {
  const { url, sql, rows, closers } = await setup(t)
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  // The drop of the database may reach a connection that is still closing.
  pool.on('error', () => {})
  closers.push(() => pool.end())
  await enqueue(pool, event, { autocommit: true })
  await enqueue(sql, [event, event], { autocommit: true })
  assert.equal((await rows()).length, 3)
})

test('a client from a pool, a reserved connection and an adapted client are transactions enough', async t => {
  const { url, sql, rows, closers } = await setup(t)
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  // The drop of the database may reach a connection that is still closing.
  pool.on('error', () => {})
  closers.push(() => pool.end())
  const client = await pool.connect()
  await client.query('begin')
  await enqueue(client, { ...event, key: 'pool client' })
  const adapted = { query: (text: string, values: string[]) => client.query({ text, values }) }
  await enqueue(adapted, { ...event, key: 'adapted' })
  await client.query('commit')
  client.release()
  const reserved = await sql.reserve()
  await reserved`begin`
  await enqueue(reserved, { ...event, key: 'reserved' })
  await reserved`commit`
  reserved.release()
  assert.deepEqual(
    (await rows()).map(row => row.key),
    ['pool client', 'adapted', 'reserved'],
  )
})
