import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../src/errors.ts'
import { enqueue } from '../../src/outbox/enqueue.ts'
import type { NewEvent } from '../../src/outbox/new-event.ts'
import { open, pgClient, setup } from '../support/writers.ts'

const event: NewEvent = { topic: 'orders', key: 'order-17', eventType: 'OrderPlaced' }

test('a role that may only insert can write events', async t => {
  const { sql, rows } = await setup(t)
  await sql.begin(async tx => {
    const role = `writer_${process.pid}_${Math.random().toString(36).slice(2)}`
    await tx.unsafe(`create role ${role}`)
    await tx.unsafe(`grant usage on schema outbox to ${role}`)
    await tx.unsafe(`grant insert on outbox.events to ${role}`)
    await tx.unsafe(`set local role ${role}`)
    await enqueue(tx, event)
    await tx`reset role`
    await tx.unsafe(`drop owned by ${role}`)
    await tx.unsafe(`drop role ${role}`)
  })
  assert.equal((await rows()).length, 1)
})

test('without the schema the error names the cure', async t => {
  const { sql, ...database } = await open(t, { migrate: false })
  const client = await pgClient(database)
  const refusal = (error: unknown) =>
    error instanceof SluiceError && error.code === 'schema' && /sluice migrate/.test(error.message)
  await assert.rejects(
    sql.begin(tx => enqueue(tx, event)),
    refusal,
  )
  await assert.rejects(enqueue(client, event), refusal)
})

test("the database's own errors come through with their SQLSTATE", async t => {
  const { sql, ...database } = await setup(t)
  await sql`alter table outbox.events add constraint no_beta check (topic <> 'beta')`
  const client = await pgClient(database)
  const bad = { ...event, topic: 'beta' }
  await assert.rejects(enqueue(client, bad), { code: '23514' })
  await assert.rejects(
    sql.begin(tx => enqueue(tx, bad)),
    { code: '23514' },
  )
})

test('rows that a trigger drops are reported instead of lost', async t => {
  const { sql } = await setup(t)
  await sql.unsafe(`
    create function drop_row() returns trigger language plpgsql as 'begin return null; end';
    create trigger drop_row before insert on outbox.events for each row execute function drop_row()`)
  await assert.rejects(
    sql.begin(tx => enqueue(tx, [event, event])),
    (error: unknown) =>
      error instanceof SluiceError && /reports 0 for 2 events/.test(error.message),
  )
})
