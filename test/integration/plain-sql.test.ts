import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setup } from '../support/writers.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

test('plain SQL writes events: an insert and the function outbox.enqueue', async t => {
  const { sql, rows } = await setup(t)
  await sql`
    INSERT INTO outbox.events (topic, key, event_type, payload, headers)
    VALUES ('orders', 'order-17', 'OrderPlaced', '{"total":1}', '{"source":"shop"}')`
  const [byFunction] = await sql`
    SELECT outbox.enqueue('orders', 'order-17', 'OrderPlaced', '{"total":1}'::json) as id`
  const given = '0191e4b2-0000-7000-8000-00000000000a'
  const [named] = await sql`
    select outbox.enqueue('orders', null, 'Raw', payload_bytes => '\\x00ff', event_id => ${given},
      headers => '{"a":"b"}', not_before => '2031-01-01Z', expires_at => '2032-01-01Z') as id`
  await sql`select outbox.enqueue('orders', '', 'Gone', headers => null)`
  const [first, second, third, fourth] = await rows()
  assert.equal(first?.payload, '{"total":1}')
  assert.deepEqual(first?.headers, { source: 'shop' })
  assert.match(first?.event_id, UUID)
  assert.equal(second?.event_id, byFunction?.id)
  assert.equal(second?.lane, first?.lane)
  assert.deepEqual(second?.headers, {})
  assert.equal(named?.id, given)
  assert.deepEqual([...(third?.payload_bytes ?? [])], [0, 255])
  assert.deepEqual(third?.not_before, new Date('2031-01-01'))
  assert.deepEqual(third?.expires_at, new Date('2032-01-01'))
  assert.deepEqual([fourth?.key, fourth?.payload, fourth?.payload_bytes], ['', null, null])
})

test("a plain insert of what only the relay judges is not refused: the writer's insert never fails for it", async t => {
  const { sql } = await setup(t)
  await sql`
    insert into outbox.events (topic, key, event_type, payload, headers, expires_at) values
      ('not a topic!', 'k', '', 'null', '{"n": 1}', '2001-01-01'), ('__internal', null, 'A', null, '{}', null)`
  const [row] = await sql`select count(*)::int as n from outbox.events`
  assert.equal(row?.n, 2)
})
