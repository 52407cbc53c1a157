import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifyAdmission } from '../../src/admission/verify-admission.ts'
import { jsonCodec } from '../../src/consumer/codecs.ts'
import { createBus } from '../../src/create-bus.ts'
import { ADMISSION_SECRET, admissionUnderTest, Visitors } from '../support/admission.ts'
import { cleanup } from '../support/cleanup.ts'
import { readTopic } from '../support/kafka.ts'
import { committed } from '../support/kafkajs-source.ts'
import { kafkaBrokers, uniqueName } from '../support/parts.ts'
import { until } from '../support/until.ts'

test('who joins is let in up to the capacity, the others in their order as places are freed', async t => {
  const under = await admissionUnderTest(t)
  const admission = await under.start({ options: { capacity: 1 } })
  const visitors = new Visitors(admission)
  const ann = await visitors.join('concert', 'ann')
  const admitted = await visitors.untilStatus(ann, 'ACTIVE')
  const ben = await visitors.join('concert', 'ben')
  await until(async () => (await visitors.look(ben)).position === 1, {
    deadlineMs: 30_000,
    what: 'ben is next',
  })
  const cem = await visitors.join('concert', 'cem')
  await until(async () => (await visitors.look(cem)).position === 2, {
    deadlineMs: 30_000,
    what: 'cem comes after him',
  })
  assert.equal((await visitors.look(ben)).status, 'WAITING')
  assert.equal((await visitors.leave(ann)).status, 'LEFT')
  await visitors.untilStatus(ben, 'ACTIVE')
  assert.equal((await visitors.look(cem)).status, 'WAITING')

  const facts = await verifyAdmission(String(admitted.token), {
    secret: ADMISSION_SECRET,
    eventId: 'concert',
  })
  assert.deepEqual([facts.userId, facts.sessionId], ['ann', ann])
})

test('joins lie in their topic under the key of their event, once, also when a user joins twice', async t => {
  const under = await admissionUnderTest(t)
  const visitors = new Visitors(await under.start({ options: { capacity: 1 } }))
  const first = await visitors.join('concert', 'ann')
  assert.equal(await visitors.join('concert', 'ann'), first)
  const second = await visitors.join('concert', 'ben')
  const elsewhere = await visitors.join('theatre', 'ann')
  await until(async () => (await readTopic(under.joinsTopic)).length >= 3, {
    deadlineMs: 30_000,
    what: 'all joins are in the topic',
  })
  await visitors.untilStatus(elsewhere, 'ACTIVE')
  const joins = (await readTopic(under.joinsTopic)).map(({ key, value, headers }) => ({
    key: String(key),
    type: headers.event_type,
    ...(JSON.parse(String(value)) as Record<string, string>),
  }))
  const of = (eventId: string) => joins.filter(join => join.key === eventId)
  const type = 'waiting-room.join'
  assert.deepEqual(of('concert'), [
    { key: 'concert', type, sessionId: first, eventId: 'concert', userId: 'ann' },
    { key: 'concert', type, sessionId: second, eventId: 'concert', userId: 'ben' },
  ])
  assert.deepEqual(of('theatre'), [
    { key: 'theatre', type, sessionId: elsewhere, eventId: 'theatre', userId: 'ann' },
  ])
})

test('the granter commits its offset, and reading the joins again changes nothing', async t => {
  const under = await admissionUnderTest(t, { partitions: 1 })
  const admission = await under.start({ options: { capacity: 2 } })
  const visitors = new Visitors(admission)
  const ids: string[] = []
  for (const user of ['ann', 'ben', 'cem', 'dan']) ids.push(await visitors.join('concert', user))
  await visitors.untilStatus(String(ids[1]), 'ACTIVE')
  const numbers = async () => [
    ...(await under.sql`select user_id, status, seq::int, log_offset::int from admission.sessions order by joined_at, id`),
  ]
  await until(async () => (await numbers()).every(({ seq }) => seq !== null), {
    deadlineMs: 30_000,
    what: 'all joins are numbered',
  })
  const before = await numbers()
  assert.deepEqual(
    before.map(({ seq, log_offset }) => [seq, log_offset]),
    [
      [1, 0],
      [2, 1],
      [3, 2],
      [4, 3],
    ],
  )
  await admission.stop()
  assert.deepEqual(await committed(under.group, under.joinsTopic), { 0: '4' })

  // A granter of another group begins at the first join.
  const again = await under.start({ options: { group: `${under.group}-again` } })
  const last = await new Visitors(again).join('concert', 'eve')
  const numbered = async () =>
    (await under.sql`select 1 from admission.sessions where id = ${last} and seq = 5`).length === 1
  await until(numbered, { deadlineMs: 30_000, what: 'a join behind all others is numbered' })
  assert.deepEqual((await numbers()).slice(0, 4), before)
  const rooms = await under.sql`select active, granted::int, last_seq::int from admission.rooms`
  assert.deepEqual([...rooms], [{ active: 2, granted: 2, last_seq: 5 }])
})

test('other groups read the joins too, and changes are told in order', async t => {
  const under = await admissionUnderTest(t)
  const visitors = new Visitors(await under.start({ options: { capacity: 1 } }))
  const bus = createBus({
    databaseUrl: under.url,
    kafka: { brokers: kafkaBrokers() },
    controlTopic: null,
  })
  cleanup(t, () => bus.close())
  const seen: string[] = []
  await bus.subscribe(
    {
      group: uniqueName(t, 80),
      topics: [under.joinsTopic],
      codec: jsonCodec<{ userId: string }>(),
    },
    async ({ value }) => void seen.push(value.userId),
  )
  const ann = await visitors.join('concert', 'ann')
  const ben = await visitors.join('concert', 'ben')
  await visitors.untilStatus(ann, 'ACTIVE')
  await visitors.leave(ann)
  await visitors.untilStatus(ben, 'ACTIVE')
  await until(() => seen.length === 2, { deadlineMs: 30_000, what: 'the other group has both' })
  assert.deepEqual(seen, ['ann', 'ben'])
  await until(async () => (await readTopic(under.changesTopic)).length === 3, {
    deadlineMs: 30_000,
    what: 'three changes are told',
  })
  const changes = (await readTopic(under.changesTopic)).map(({ key, value, headers }) => {
    const { userId } = JSON.parse(String(value)) as { userId: string }
    return `${key} ${userId} ${headers.event_type}`
  })
  assert.deepEqual(changes, [
    'concert ann waiting-room.granted',
    'concert ann waiting-room.left',
    'concert ben waiting-room.granted',
  ])
})

test('a granter that goes away leaves its work to the others', async t => {
  const under = await admissionUnderTest(t)
  const first = await under.start({ options: { capacity: 100 } })
  const second = await under.start({ relay: false, options: { capacity: 100 } })
  const visitors = new Visitors(second)
  await visitors.untilStatus(await visitors.join('concert', 'ann'), 'ACTIVE')
  const relay = await under.start({ options: { http: null } })
  await first.stop()
  await visitors.untilStatus(await visitors.join('concert', 'ben'), 'ACTIVE')
  await visitors.untilStatus(await visitors.join('theatre', 'ben'), 'ACTIVE')
  await relay.stop()
})

test('the page of an event that nobody has joined yet invites to join, if joins make rooms', async t => {
  const under = await admissionUnderTest(t)
  const open = await under.start({ relay: false, options: { capacity: 1 } })
  const answer = await fetch(`http://${open.address}/waiting-room/concert`)
  assert.equal(answer.status, 200)
  assert.match(await answer.text(), /<form method="post" action="\/waiting-room\/concert">/)
  const shut = await under.start({ relay: false, options: { capacity: null } })
  assert.equal((await fetch(`http://${shut.address}/waiting-room/concert`)).status, 404)
})
