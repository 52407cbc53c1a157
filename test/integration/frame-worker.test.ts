import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { AirCoreFrame } from '../../src/pubsub/air-core-frame.ts'
import { type FrameWorker, replyFrame, subscribeFrames } from '../../src/pubsub/frame-worker.ts'
import { cleanup } from '../support/cleanup.ts'
import { createTopic, openKafka, readTopic } from '../support/kafka.ts'
import { openKafkaBus } from '../support/kafka-bus.ts'
import { until } from '../support/until.ts'

const PARTITIONS = 4

async function setup(t: TestContext, worker: FrameWorker, dedup: 'inbox' | 'none' = 'inbox') {
  const under = await openKafkaBus(t)
  cleanup(t, () => under.bus.close())
  const { sql } = under.database
  await sql`create table effects (n serial, request uuid)`
  const requests = await createTopic(t, { partitions: 2 })
  const replies = await createTopic(t, { partitions: PARTITIONS })
  const producer = openKafka().producer()
  await producer.connect()
  cleanup(t, () => producer.disconnect())
  const options = {
    ...{ group: `g-${requests}`, topics: [requests], reply_topics: [replies] },
    retry: { baseMs: 20, maxMs: 50 },
  }
  const subscribe = () => subscribeFrames(under.bus, { ...options, dedup }, worker)
  const subscription = await subscribe()
  const send = (value: Buffer, partition = 0) =>
    producer.send({ topic: requests, messages: [{ key: null, value, partition }] })
  /** As a Correspondent sends it. */
  const sending = (request: AirCoreFrame, partition: number) =>
    request.with({ correlation_id: request.id, reply_to: { topic: replies, partition } })
  const answers = async () => {
    const records = await readTopic(replies)
    return records.map(({ partition, value, key }) => {
      const frame = AirCoreFrame.fromBinary(value!)
      return { partition, key: String(key), frame, text: frame.error?.code ?? frame.text() }
    })
  }
  const effects = async () =>
    (await sql`select request from effects order by n`).map(each => each.request)
  const answered = (count: number) =>
    until(async () => (await answers()).length >= count, {
      deadlineMs: 30_000,
      what: `${count} replies`,
    })
  /** All records of the requests are delivered again. */
  const deliverAgain = async () => {
    await subscription.stop()
    const admin = openKafka().admin()
    await admin.connect()
    const partitions = [0, 1].map(partition => ({ partition, offset: '0' }))
    await admin.setOffsets({ groupId: options.group, topic: requests, partitions })
    await admin.disconnect()
    await subscribe()
  }
  return { ...under, deliverAgain, requests, replies, send, sending, answers, answered, effects }
}

/** Leaves an effect for each request that it handles. */
const effective: FrameWorker = {
  handle: async (frame, { sql }) => {
    await sql`insert into effects (request) values (${frame.id})`
    return `done ${frame.text()}`
  },
}

test('a request has one effect and one reply on the partition that it names, also when its record is delivered twice', async t => {
  const scene = await setup(t, effective)
  const request = scene.sending(AirCoreFrame.request({ type: 'Sum', payload: 'a' }), 3)
  const other = scene.sending(AirCoreFrame.request({ type: 'Sum', payload: 'b' }), 1)
  for (const each of [request, other]) await scene.send(each.toBinary())
  await scene.answered(2)
  await scene.deliverAgain()
  const last = scene.sending(AirCoreFrame.request({ type: 'Sum', payload: 'c' }), 3)
  await scene.send(last.toBinary())
  await scene.answered(3)
  const answers = await scene.answers()
  assert.deepEqual(
    answers.map(({ partition, key, text }) => [partition, key, text]),
    [
      [1, other.correlation_id, 'done b'],
      [3, request.correlation_id, 'done a'],
      [3, last.correlation_id, 'done c'],
    ],
  )
  for (const { frame } of answers) assert.deepEqual([frame.kind, frame.last], ['reply', true])
  assert.deepEqual(await scene.effects(), [request.id, other.id, last.id])
})

test('a request that is sent again has no second effect, and is answered again where it asks now', async t => {
  const scene = await setup(t, {
    ...effective,
    handled_before: async (frame, { sql }) => {
      const [row] = await sql`select n from effects where request = ${frame.id}`
      return `was number ${row?.n}`
    },
  })
  const request = AirCoreFrame.request({ type: 'Sum', payload: 'a' })
  const [first, again] = [scene.sending(request, 0), scene.sending(request, 2)]
  await scene.send(first.toBinary())
  await scene.answered(1)
  await scene.send(again.toBinary(), 1)
  await scene.answered(2)
  assert.deepEqual(
    (await scene.answers()).map(({ partition, key, text }) => [partition, key, text]),
    [
      [0, first.correlation_id, 'done a'],
      [2, again.correlation_id, 'was number 1'],
    ],
  )
  assert.deepEqual(await scene.effects(), [request.id])
})

test('a worker that cannot answer again says so, and does nothing twice', async t => {
  const scene = await setup(t, effective)
  const request = AirCoreFrame.request({ type: 'Sum', payload: 'a' })
  await scene.send(scene.sending(request, 0).toBinary())
  await scene.answered(1)
  await scene.send(scene.sending(request, 1).toBinary())
  await scene.answered(2)
  assert.deepEqual(
    (await scene.answers()).map(({ text }) => text),
    ['done a', 'already_handled'],
  )
  assert.deepEqual(await scene.effects(), [request.id])
})

test('of two sendings at a time one has the effect, and both are answered', async t => {
  const running: string[] = []
  let release: () => void = () => {}
  const released = new Promise<void>(resolve => {
    release = resolve
  })
  const scene = await setup(t, {
    handle: async (frame, context) => {
      running.push(frame.correlation_id ?? '')
      await released
      return effective.handle(frame, context)
    },
    handled_before: async () => 'before',
  })
  const request = AirCoreFrame.request({ type: 'Sum', payload: 'a' })
  await scene.send(scene.sending(request, 0).toBinary(), 0)
  await until(() => running.length === 1, { deadlineMs: 30_000, what: 'the first is handled' })
  await scene.send(scene.sending(request, 1).toBinary(), 1)
  const waits = async () =>
    (await scene.database.sql`select from pg_locks where not granted`).length > 0
  await until(waits, { deadlineMs: 30_000, what: 'the second waits' })
  release()
  await scene.answered(2)
  assert.deepEqual(
    (await scene.answers()).map(({ text }) => text),
    ['done a', 'before'],
  )
  assert.equal((await scene.effects()).length, 1)
})

test('a handler that fails leaves neither effect nor reply nor memory of the request, and is tried again', async t => {
  let calls = 0
  const scene = await setup(t, {
    handle: async (frame, context) => {
      const answer = await effective.handle(frame, context)
      await replyFrame(context, AirCoreFrame.reply(frame, 'begun', { last: false }))
      if (++calls === 1) throw new Error('after the reply')
      return answer
    },
  })
  const request = scene.sending(AirCoreFrame.request({ type: 'Sum', payload: 'a' }), 2)
  await scene.send(request.toBinary())
  await scene.answered(2)
  assert.deepEqual(
    (await scene.answers()).map(({ text, frame }) => [text, frame.last]),
    [
      ['begun', false],
      ['done a', true],
    ],
  )
  assert.deepEqual([calls, await scene.effects()], [2, [request.id]])
})

test('a refusal is a reply, an event has none, and bytes that are no frame are a dead letter', async t => {
  const events: string[] = []
  const scene = await setup(t, {
    handle: async frame => {
      if (frame.kind === 'event') events.push(frame.text())
      else return AirCoreFrame.fail(frame, { code: 'no_stock', message: 'none left' })
      return 'to nobody'
    },
  })
  await scene.send(Buffer.from('no frame'))
  await scene.send(AirCoreFrame.event({ type: 'Told', payload: 'news' }).toBinary())
  await scene.send(scene.sending(AirCoreFrame.request({ type: 'Sum' }), 2).toBinary())
  await scene.answered(1)
  assert.deepEqual(
    (await scene.answers()).map(({ partition, text }) => [partition, text]),
    [[2, 'no_stock']],
  )
  assert.deepEqual(events, ['news'])
  assert.equal((await scene.deadLetters(`g-${scene.requests}`)).length, 1)
})

test('a request cannot have its reply written to a topic of its choice', async t => {
  const scene = await setup(t, effective)
  const request = AirCoreFrame.request({ type: 'Sum', payload: 'a' })
  const elsewhere = { topic: scene.requests, partition: 0 }
  await scene.send(scene.sending(request, 0).with({ reply_to: elsewhere }).toBinary())
  const sound = scene.sending(AirCoreFrame.request({ type: 'Sum', payload: 'b' }), 0)
  await scene.send(sound.toBinary())
  await scene.answered(1)
  assert.equal((await scene.deadLetters(`g-${scene.requests}`)).length, 1)
  assert.deepEqual(await scene.effects(), [sound.id])
})

test('without an inbox a request that is sent again is handled again', async t => {
  const scene = await setup(t, effective, 'none')
  const request = AirCoreFrame.request({ type: 'Sum', payload: 'a' })
  for (const partition of [0, 1]) await scene.send(scene.sending(request, partition).toBinary())
  await scene.answered(2)
  assert.deepEqual(await scene.effects(), [request.id, request.id])
})
