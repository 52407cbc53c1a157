import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ConsumerEvent } from '../../src/consumer/consumer-events.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { HoldWatch } from '../../src/waiting-room/hold-watch.ts'
import { cleanup } from '../support/cleanup.ts'
import { GROUP, openRoom, type RoomParts } from '../support/task-room.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 10_000

async function watch(t: TestContext, { database }: RoomParts) {
  const events: ConsumerEvent[] = []
  const onEvent = (event: ConsumerEvent) => {
    events.push(event)
  }
  const holds = await HoldWatch.start({ database, group: GROUP, onEvent, pollMs: 20 })
  cleanup(t, () => holds.stop())
  let changes = 0
  holds.onChange(() => {
    changes++
  })
  return { holds, events, changes: () => changes }
}

async function hold(sql: Sql, topic: string, partition: number, until: string) {
  await sql`
    insert into waiting_room.holds (group_id, topic, partition, held_until, reason, held_by)
    values (${GROUP}, ${topic}, ${partition}, now() + ${until}::text::interval, 'r', 'me')`
}

test('what is held is known from the start, and what changes is told', async t => {
  const room = await openRoom(t)
  const { sql } = room
  await sql`
    insert into waiting_room.holds (group_id, topic, reason, held_by) values
      (${GROUP}, 'orders', 'r', 'me'), ('others', '*', 'r', 'me')`
  const { holds, changes } = await watch(t, room)
  assert.equal(holds.holds({ topic: 'orders', partition: 7 }), true)
  assert.equal(holds.holds({ topic: 'bills', partition: 1 }), false)
  await hold(sql, 'bills', 1, '1 hour')
  const told = () => changes() === 1 && holds.holds({ topic: 'bills', partition: 1 })
  await until(told, { deadlineMs: DEADLINE_MS, what: 'the partition is held' })
  assert.equal(holds.holds({ topic: 'bills', partition: 2 }), false)
  await sql`delete from waiting_room.holds where group_id = ${GROUP}`
  await hold(sql, '*', -1, '1 hour')
  await until(() => holds.holds({ topic: 'any', partition: 0 }), {
    deadlineMs: DEADLINE_MS,
    what: 'all is held',
  })
})

test('a hold until a time ends by itself', async t => {
  const room = await openRoom(t)
  await hold(room.sql, 'orders', -1, '300 ms')
  const { holds, changes } = await watch(t, room)
  assert.equal(holds.holds({ topic: 'orders', partition: 0 }), true)
  await until(() => !holds.holds({ topic: 'orders', partition: 0 }), {
    deadlineMs: DEADLINE_MS,
    what: 'the hold is over',
  })
  assert.equal(changes(), 1)
})

test('while the database fails, what was held stays so', async t => {
  const room = await openRoom(t)
  const { sql } = room
  await hold(sql, 'orders', -1, '1 hour')
  const { holds, events } = await watch(t, room)
  await sql`alter table waiting_room.holds rename to elsewhere`
  const failed = () => events.some(({ kind }) => kind === 'store_failed')
  await until(failed, { deadlineMs: DEADLINE_MS, what: 'the failure is told' })
  await assert.rejects(holds.refresh(), { code: 'database' })
  assert.equal(holds.holds({ topic: 'orders', partition: 0 }), true)
  await sql`alter table waiting_room.elsewhere rename to holds`
  await sql`delete from waiting_room.holds`
  const over = async () => {
    await holds.refresh()
    return !holds.holds({ topic: 'orders', partition: 0 })
  }
  await until(over, { deadlineMs: DEADLINE_MS, what: 'the hold is over' })
})
