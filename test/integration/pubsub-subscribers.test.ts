import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../src/errors.ts'
import {
  AirCoreFrame,
  type config,
  publisher,
  reply_to_subscriber,
  topic_type,
  worker_subscriber,
} from '../../src/pubsub/index.ts'
import { cleanup } from '../support/cleanup.ts'
import { openKafka } from '../support/kafka.ts'
import { committed, send } from '../support/kafkajs-source.ts'
import { configOf, configOfMissing, newConfig, owned } from '../support/pubsub.ts'
import { deleteTopic } from '../support/topics.ts'
import { until } from '../support/until.ts'

const TO_WORKER = { topic_type: topic_type.worker }
const CORRELATION_ID = 'fedcba98-7654-3210-fedc-ba9876543210'

/** Frames of one key whose payloads are their numbers. */
async function sendNumbered(sender: publisher, count: number, first = 0): Promise<void> {
  const frames = Array.from({ length: count }, (_, n) =>
    AirCoreFrame.event({ type: 'T', key: 'k', payload: String(first + n) }),
  )
  await Promise.all(frames.map(frame => sender.send(frame, TO_WORKER)))
}

function numbers(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, n) => first + n)
}

async function taken(subscriber: worker_subscriber, count: number): Promise<number[]> {
  const got: number[] = []
  const iterator = subscriber.frames[Symbol.asyncIterator]()
  while (got.length < count) got.push(Number((await iterator.next()).value?.text()))
  // The next one is asked for, so that the last one counts as handled.
  void iterator.next()
  return got
}

async function committedSum({ groups, topics }: config): Promise<number> {
  const offsets = await committed(groups.worker, topics.worker)
  return Object.values(offsets).reduce((sum, offset) => sum + Number(offset), 0)
}

test('a worker gets what was sent before it came, and what is sent right after', async t => {
  const settings = await newConfig(t)
  const sender = owned(t, publisher.create(settings))
  await sendNumbered(sender, 3)
  const subscriber = owned(t, worker_subscriber.create(settings))
  assert.equal(subscriber.is_connected(), false)
  await subscriber.connect()
  assert.equal(subscriber.is_connected(), true)
  await sendNumbered(sender, 3, 3)
  assert.deepEqual(await taken(subscriber, 6), numbers(0, 6))
  assert.equal(subscriber.received, 6)
})

test('a reply that is sent right after connecting arrives, and one from before does not', async t => {
  const settings = await newConfig(t)
  const sender = owned(t, publisher.create(settings))
  const subscriber = owned(t, reply_to_subscriber.create(settings))
  const replyTo = (partition: number, payload: string) => {
    const reply_to = { topic: settings.topics.reply_to, partition }
    const request = AirCoreFrame.request({ type: 'T' })
    return AirCoreFrame.reply(request.with({ correlation_id: CORRELATION_ID, reply_to }), payload)
  }
  const to = { topic_type: topic_type.reply_to }
  await Promise.all([0, 1].map(partition => sender.send(replyTo(partition, 'before'), to)))
  await subscriber.connect()
  assert.deepEqual(subscriber.partitions.partitions, [0, 1])
  await Promise.all([0, 1].map(partition => sender.send(replyTo(partition, 'after'), to)))
  const got: string[] = []
  for await (const frame of subscriber.frames) {
    got.push(frame.text())
    if (got.length === 2) break
  }
  assert.deepEqual(got, ['after', 'after'])
})

test('what was handled is committed, and what was not comes again to the next worker', async t => {
  const settings = await newConfig(t)
  const sender = owned(t, publisher.create(settings))
  await sendNumbered(sender, 10)
  const first = owned(t, worker_subscriber.create(settings))
  await first.connect()
  let seen = 0
  for await (const frame of first.frames) {
    seen = Number(frame.text())
    if (seen === 5) break
  }
  await first[Symbol.asyncDispose]()
  assert.equal(await committedSum(settings), 5)
  const second = owned(t, worker_subscriber.create(settings))
  await second.connect()
  assert.deepEqual(await taken(second, 5), numbers(5, 5))
})

test('nothing behind a frame that is still in work is committed', async t => {
  const settings = await newConfig(t)
  const sender = owned(t, publisher.create(settings))
  const subscriber = owned(t, worker_subscriber.create(settings))
  await subscriber.connect()
  await sendNumbered(sender, 50)
  let release = () => {}
  const stuck = new Promise<void>(settle => {
    release = settle
  })
  cleanup(t, () => release())
  let handled = 0
  const loop = async () => {
    for await (const frame of subscriber.frames) {
      if (frame.text() === '20') await stuck
      handled++
    }
  }
  const loops = [loop(), loop(), loop()]
  await until(() => handled === 49, { deadlineMs: 20_000, what: 'all others are handled' })
  await until(async () => (await committedSum(settings)) === 20, {
    deadlineMs: 15_000,
    what: 'what is in front of the stuck frame is committed',
  })
  release()
  await until(async () => (await committedSum(settings)) === 50, {
    deadlineMs: 15_000,
    what: 'all of it is committed',
  })
  await subscriber[Symbol.asyncDispose]()
  await Promise.all(loops)
})

test('closing waits for the loop to handle its frame, commits it and ends the loop', async t => {
  const settings = await newConfig(t)
  const sender = owned(t, publisher.create(settings))
  const subscriber = owned(t, worker_subscriber.create(settings))
  await subscriber.connect()
  await sendNumbered(sender, 5)
  let finished = 0
  let closing: Promise<void> | undefined
  for await (const frame of subscriber.frames) {
    if (frame.text() === '2') {
      closing = subscriber[Symbol.asyncDispose]()
      await until(() => !subscriber.is_connected(), { deadlineMs: 1_000, what: 'it is closing' })
      assert.ok((await committedSum(settings)) <= 2)
    }
    finished++
  }
  await closing
  assert.equal(finished, 3)
  assert.equal(await committedSum(settings), 3)
})

test('a full queue is not read into any further, and nothing is lost by it', async t => {
  const settings = await newConfig(t, { frames_max: 20 })
  const sender = owned(t, publisher.create(settings))
  const subscriber = owned(t, worker_subscriber.create(settings))
  await subscriber.connect()
  await sendNumbered(sender, 500)
  await until(() => subscriber.frames.size === 20, { deadlineMs: 20_000, what: 'it is full' })
  // Longer than a fetch takes.
  const quiet = openKafka().admin()
  await quiet.connect()
  for (let n = 0; n < 30; n++) await quiet.fetchTopicOffsets(settings.topics.worker)
  await quiet.disconnect()
  assert.equal(subscriber.frames.size, 20)
  assert.ok(subscriber.received <= 20, `${subscriber.received}`)
  assert.deepEqual(await taken(subscriber, 500), numbers(0, 500))
})

test('bytes that are no frame are passed over and committed', async t => {
  const settings = await newConfig(t, { worker_partitions: 1 })
  const sender = owned(t, publisher.create(settings))
  const { worker } = settings.topics
  await send(worker, [{ value: 'no frame' }, { value: null }])
  await sendNumbered(sender, 1)
  await send(worker, [{ value: AirCoreFrame.event({ type: 'T' }).toBinary().subarray(0, 40) }])
  const subscriber = owned(t, worker_subscriber.create(settings))
  await subscriber.connect()
  assert.deepEqual(await taken(subscriber, 1), [0])
  await until(async () => (await committedSum(settings)) === 4, {
    deadlineMs: 15_000,
    what: 'all four are committed',
  })
  assert.equal(subscriber.bad_frames, 3)
})

test('two workers share the partitions, and one takes over when the other leaves', async t => {
  const settings = await newConfig(t, { worker_partitions: 4 })
  const sender = owned(t, publisher.create(settings))
  const got = new Map<string, Set<string>>()
  const start = async (name: string) => {
    const subscriber = owned(t, worker_subscriber.create(settings))
    got.set(name, new Set())
    await subscriber.connect()
    const loop = (async () => {
      for await (const frame of subscriber.frames) got.get(name)?.add(frame.text())
    })()
    return { subscriber, loop }
  }
  const first = await start('first')
  await start('second')
  const seen = () => new Set([...got.values()].flatMap(each => [...each]))
  const spread = (from: number) =>
    numbers(from, 40).map(n =>
      sender.send(AirCoreFrame.event({ type: 'T', payload: String(n) }), TO_WORKER),
    )
  await until(() => first.subscriber.is_connected(), { deadlineMs: 20_000, what: 'it is dealt' })
  await Promise.all(spread(0))
  await until(() => seen().size === 40, { deadlineMs: 15_000, what: 'all are handled' })
  assert.ok((got.get('first')?.size ?? 0) > 0 && (got.get('second')?.size ?? 0) > 0)
  await first.subscriber[Symbol.asyncDispose]()
  await first.loop
  await Promise.all(spread(40))
  await until(() => seen().size === 80, { deadlineMs: 15_000, what: 'the other one takes over' })
})

test('a missing topic is an error of connecting, which may be tried again once it is there', async t => {
  const settings = configOfMissing(t)
  const { worker, reply_to } = settings.topics
  const subscriber = owned(t, worker_subscriber.create(settings))
  await assert.rejects(subscriber.connect(), error => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'options')
    assert.ok(error.message.includes(worker))
    assert.match(error.message, /create_topics/)
    return true
  })
  assert.equal(subscriber.is_connected(), false)
  const { topics, groups } = settings
  const create_topics = { partitions: 1, replication_factor: 1 }
  const maker = owned(t, publisher.create(configOf({ topics, groups, create_topics })))
  for (const topic of [worker, reply_to]) cleanup(t, () => deleteTopic(topic))
  await maker.connect()
  await subscriber.connect()
  assert.equal(subscriber.is_connected(), true)
})

test('a subscriber that is closed while it connects says so, and leaves nothing open', async t => {
  const settings = await newConfig(t)
  const subscriber = owned(t, worker_subscriber.create(settings))
  const connecting = assert.rejects(subscriber.connect(), { code: 'lifecycle' })
  await subscriber[Symbol.asyncDispose]()
  await connecting
  await assert.rejects(subscriber.connect(), { code: 'lifecycle' })
})
