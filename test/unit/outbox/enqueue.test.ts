import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import postgres from 'postgres'
import { SluiceError } from '../../../src/errors.ts'
import { EVENTS_MAX, enqueue, type Transaction, toDocument } from '../../../src/outbox/enqueue.ts'

const event = { topic: 'orders', eventType: 'OrderPlaced' }
const isRefusal = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof SluiceError && error.code === code && message.test(error.message)

/** A client that reports `written` rows and remembers what it was asked. */
function client(answer: (count: number) => unknown) {
  const asked: { text: string; values: string[] }[] = []
  const query = async (text: string, values: string[]) => {
    asked.push({ text, values })
    return answer(JSON.parse(values[0]!).length)
  }
  return { asked, query }
}
const honest = () => client(written => ({ rows: [{ written }] }))

test('a Pool of pg is refused by the types, and at run time before it is used', async () => {
  const pool = new pg.Pool()
  // @ts-expect-error a pool is not a transaction
  const tx: Transaction = pool
  await assert.rejects(enqueue(tx, event), isRefusal('options', /Pool, not a transac.*rolled back/))
  assert.equal(pool.totalCount, 0)
})

test('the top-level sql of postgres.js is refused by the types and at run time', async () => {
  const sql = postgres({ max: 1 })
  // @ts-expect-error a client is not a transaction
  const tx: Transaction = sql
  await assert.rejects(enqueue(tx, event), isRefusal('options', /top-level.*sql\.begin/))
})

test('what is no client at all is refused by its shape', async () => {
  for (const db of [undefined, null, 'postgres://u:hunter2@h/d', {}]) {
    const refusal = isRefusal('options', /first argument is (undefined|null|a string|an object)/)
    await assert.rejects(enqueue(db as never, event), refusal)
  }
})

test('no events are no statement', async () => {
  const db = honest()
  assert.deepEqual(await enqueue(db, []), [])
  assert.equal(db.asked.length, 0)
})

test('any number of events is one statement with one parameter that any query builder can take', async () => {
  const db = honest()
  const ids = await enqueue(
    db,
    Array.from({ length: EVENTS_MAX }, () => event),
  )
  assert.equal(new Set(ids).size, EVENTS_MAX)
  assert.equal(db.asked.length, 1)
  const [{ text, values }] = db.asked as [{ text: string; values: string[] }]
  assert.equal(values.length, 1)
  assert.deepEqual(text.match(/\$\d+/g), ['$1'])
  assert.ok(!text.includes('?'))
})

test('more events than one call takes are refused', async () => {
  const db = honest()
  const events = Array.from({ length: EVENTS_MAX + 1 }, () => event)
  await assert.rejects(enqueue(db, events), isRefusal('event', /10001 events.*at most 10000/))
  assert.equal(db.asked.length, 0)
})

test('a bad event is named by its index and nothing is sent', async () => {
  const db = honest()
  const events = [event, event, { ...event, key: 5 as never }]
  await assert.rejects(enqueue(db, events), isRefusal('event', /^events\[2\]\.key is a number/))
  await assert.rejects(enqueue(db, events[2]!), isRefusal('event', /^event\.key is a number/))
  assert.equal(db.asked.length, 0)
})

test('a client that resolves to the rows themselves is understood', async () => {
  const ids = await enqueue(
    client(written => [{ written }]),
    [event, event],
  )
  assert.equal(ids.length, 2)
})

test('a client that ran nothing, or lost rows, is reported', async () => {
  const answers = [undefined, {}, { rows: [] }, { rows: [{ written: 1 }] }, [{ written: '2' }]]
  for (const answer of answers) {
    const db = client(() => answer)
    const refusal = isRefusal('database', /reports .* for 2 events: roll back/)
    await assert.rejects(enqueue(db, [event, event]), refusal)
  }
})

test('a document beyond its limit is refused with the event that exceeds it', () => {
  const records = [{ a: 'x'.repeat(40) }, { a: 'x'.repeat(40) }]
  assert.equal(JSON.parse(toDocument(records, 200)).length, 2)
  assert.throws(
    () => toDocument(records, 60),
    isRefusal('event', /60 characters at events\[1\]: split/),
  )
})
