import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Kafka, PartitionAssigners } from 'kafkajs'
import { SluiceError } from '../../src/errors.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import {
  AirCoreFrame,
  Correspondent,
  config,
  json_payload,
  NoPartition,
  ReplyPartitionLost,
  RequestFailed,
  RequestTimeout,
  reply_to_subscriber,
  topic_type,
} from '../../src/pubsub/index.ts'
import { cleanup } from '../support/cleanup.ts'
import { openKafka } from '../support/kafka.ts'
import { configOfMissing, echo, newConfig, owned, startWorker } from '../support/pubsub.ts'
import { deleteTopic } from '../support/topics.ts'
import { until } from '../support/until.ts'

const SOON = { timeoutMs: 15_000 }

function ask(payload: string, id?: string): AirCoreFrame {
  return AirCoreFrame.request({ type: 'Ask', payload, ...(id !== undefined && { id }) })
}

async function connected(t: test.TestContext, settings: config): Promise<Correspondent> {
  const correspondent = owned(t, Correspondent.create(settings))
  await correspondent.connect()
  return correspondent
}

/** A worker that keeps its requests until it is told to answer them. */
async function startHolding(t: test.TestContext, settings: config) {
  const held: AirCoreFrame[] = []
  const { sender } = await startWorker(t, settings, async frame => {
    held.push(frame)
  })
  const answer = (frame: AirCoreFrame, payload = frame.text()) =>
    sender.send(AirCoreFrame.reply(frame, payload), { topic_type: topic_type.reply_to })
  return { held, answer }
}

async function groupsNamed(prefix: string): Promise<string[]> {
  const admin = openKafka().admin()
  await admin.connect()
  try {
    const { groups } = await admin.listGroups()
    return groups.map(({ groupId }) => groupId).filter(id => id.startsWith(prefix))
  } finally {
    await admin.disconnect()
  }
}

async function membersOf(group: string): Promise<string[]> {
  const admin = openKafka().admin()
  await admin.connect()
  try {
    const { groups } = await admin.describeGroups([group])
    return groups.flatMap(({ members }) => members.map(({ memberId }) => memberId))
  } finally {
    await admin.disconnect()
  }
}

/** Has the group's only member leave, as an administrator would. */
async function putOut(group: string): Promise<void> {
  const kafka: Kafka = openKafka()
  let found: unknown
  const consumer = kafka.consumer({
    groupId: group,
    partitionAssigners: [
      given => {
        found = given.cluster
        return PartitionAssigners.roundRobin(given)
      },
    ],
  })
  const admin = kafka.admin()
  await Promise.all([admin.connect(), consumer.connect()])
  try {
    const { groups } = await admin.describeGroups([group])
    const cluster = found as {
      refreshMetadata(): Promise<void>
      findGroupCoordinator(of: { groupId: string }): Promise<{
        leaveGroup(of: { groupId: string; memberId: string }): Promise<unknown>
      }>
    }
    await cluster.refreshMetadata()
    const coordinator = await cluster.findGroupCoordinator({ groupId: group })
    await coordinator.leaveGroup({ groupId: group, memberId: groups[0]!.members[0]!.memberId })
  } finally {
    await Promise.all([admin.disconnect(), consumer.disconnect()])
  }
}

test('a request sent right after connecting gets its reply, on topics that were made just now', async t => {
  const create_topics = { partitions: 3, replication_factor: 1 }
  const settings = configOfMissing(t, { create_topics })
  for (const topic of Object.values(settings.topics)) cleanup(t, () => deleteTopic(topic))
  const correspondent = owned(t, Correspondent.create(settings))
  const [, reply] = await Promise.all([
    startWorker(t, settings, echo),
    correspondent.connect().then(() => correspondent.request(ask('first'), SOON)),
  ])
  assert.equal(reply.text(), 'first')
  assert.equal(reply.kind, 'reply')
  assert.equal(reply.last, true)
})

test('each of many requests at once gets the reply that is its own', async t => {
  const settings = await newConfig(t, { worker_partitions: 4, reply_partitions: 4 })
  await startWorker(t, settings, echo, 32)
  const correspondent = await connected(t, settings)
  const payloads = Array.from({ length: 1_000 }, (_, n) => `n ${n}`)
  const replies = await Promise.all(
    payloads.map(payload => correspondent.request(ask(payload), SOON)),
  )
  assert.deepEqual(
    replies.map(reply => reply.text()),
    payloads,
  )
  assert.equal(correspondent.unmatched, 0)
  assert.equal(correspondent.open_requests, 0)
})

test('two correspondents on the same topics each get their own replies', async t => {
  const settings = await newConfig(t)
  await startWorker(t, settings, echo)
  const first = await connected(t, settings)
  const second = await connected(t, settings)
  await until(() => first.partitions.length === 1 && second.partitions.length === 1, {
    deadlineMs: 20_000,
    what: 'each has a partition',
  })
  const texts = await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      const from = n % 2 === 0 ? first : second
      return (await from.request(ask(`${n}`), SOON)).text()
    }),
  )
  assert.deepEqual(
    texts,
    texts.map((_, n) => `${n}`),
  )
  assert.equal(first.unmatched + second.unmatched, 0)
})

test('what the worker says of its failure is what the requester gets', async t => {
  const settings = await newConfig(t)
  await startWorker(t, settings, async (frame, reply) => {
    await reply(AirCoreFrame.fail(frame, { code: 'no_stock', message: 'none left' }))
  })
  const correspondent = await connected(t, settings)
  await assert.rejects(correspondent.request(ask('x'), SOON), error => {
    assert.ok(error instanceof RequestFailed && error instanceof SluiceError)
    assert.equal(error.name, 'RequestFailed')
    assert.deepEqual({ ...error.failure }, { code: 'no_stock', message: 'none left' })
    assert.equal(error.retryable, false)
    return true
  })
})

test('a request that nobody answers ends in its time, and a late reply is only counted', async t => {
  const settings = await newConfig(t)
  const { held, answer } = await startHolding(t, settings)
  const correspondent = await connected(t, settings)
  const request = ask('x')
  const startedMs = monotonicMs()
  await assert.rejects(correspondent.request(request, { timeoutMs: 1_500 }), error => {
    assert.ok(error instanceof RequestTimeout && error instanceof SluiceError)
    assert.equal(error.code, 'broker')
    assert.equal(error.retryable, true)
    assert.equal(error.details.request_id, request.id)
    assert.equal(error.details.published, true)
    assert.match(error.message, /1500 ms: .* unknown; send it again with the same frame id/)
    return true
  })
  const tookMs = monotonicMs() - startedMs
  assert.ok(tookMs >= 1_490 && tookMs < 12_000, `${tookMs}`)
  assert.equal(correspondent.open_requests, 0)
  await until(() => held.length === 1, { deadlineMs: 15_000, what: 'the worker has it' })
  assert.equal(held[0]?.id, request.id)
  await answer(held[0]!)
  await until(() => correspondent.unmatched === 1, { deadlineMs: 15_000, what: 'it is counted' })
})

test('a request that is sent again has the same id for the worker, and gets a reply', async t => {
  const settings = await newConfig(t)
  const { held, answer } = await startHolding(t, settings)
  const correspondent = await connected(t, settings)
  const request = ask('x')
  await assert.rejects(correspondent.request(request, { timeoutMs: 300 }), RequestTimeout)
  const again = correspondent.request(request, SOON)
  await until(() => held.length === 2, { deadlineMs: 15_000, what: 'both have come' })
  assert.deepEqual(
    held.map(({ id }) => id),
    [request.id, request.id],
  )
  await answer(held[0]!, 'to the first')
  assert.equal((await again).text(), 'to the first')
  await answer(held[1]!)
  await until(() => correspondent.unmatched === 1, { deadlineMs: 15_000, what: 'one is too many' })
})

test('replies come until the last one, a double one once', async t => {
  const settings = await newConfig(t)
  await startWorker(t, settings, async (frame, reply) => {
    for (const n of [1, 2, 3, 4]) {
      const part = AirCoreFrame.reply(frame, `part ${n}`, { last: n === 4 })
      await reply(part)
      if (n === 2) await reply(part)
    }
  })
  const correspondent = await connected(t, settings)
  const got: string[] = []
  for await (const reply of correspondent.request_many(ask('x'), SOON)) got.push(reply.text())
  assert.deepEqual(got, ['part 1', 'part 2', 'part 3', 'part 4'])
  assert.equal(correspondent.unmatched, 1)
  for await (const reply of correspondent.request_many(ask('x'), SOON)) {
    assert.equal(reply.text(), 'part 1')
    break
  }
  assert.equal(correspondent.open_requests, 0)
})

test('replies that came before the time was over are given out before the time-out', async t => {
  const settings = await newConfig(t)
  await startWorker(t, settings, async (frame, reply) => {
    if (frame.type === 'Silence') return
    for (const part of ['one', 'two']) await reply(AirCoreFrame.reply(frame, part, { last: false }))
  })
  const correspondent = await connected(t, settings)
  const replies = correspondent.request_many(ask('x'), { timeoutMs: 2_000 })
  assert.equal((await replies.next()).value?.text(), 'one')
  const silence = AirCoreFrame.request({ type: 'Silence' })
  await assert.rejects(correspondent.request(silence, { timeoutMs: 2_500 }), RequestTimeout)
  assert.equal((await replies.next()).value?.text(), 'two')
  await assert.rejects(replies.next(), RequestTimeout)
  assert.equal(correspondent.open_requests, 0)
})

test('a request ends with its signal, and at once when that was aborted before', async t => {
  const settings = await newConfig(t)
  const correspondent = await connected(t, settings)
  const reason = new Error('the user went away')
  const controller = new AbortController()
  const request = correspondent.request(ask('x'), { ...SOON, signal: controller.signal })
  setImmediate(() => controller.abort(reason))
  await assert.rejects(request, reason)
  const { signal } = controller
  await assert.rejects(correspondent.request(ask('y'), { ...SOON, signal }), reason)
  assert.equal(correspondent.open_requests, 0)
})

test('closing ends every request: those on their way, those that wait, and those that come later', async t => {
  const settings = await newConfig(t)
  const { held } = await startHolding(t, settings)
  const correspondent = await connected(t, settings)
  const sent = Array.from({ length: 10 }, () => correspondent.request(ask('x'), SOON))
  const outcomes = Promise.allSettled(sent)
  await until(() => held.length === 10, { deadlineMs: 20_000, what: 'the worker has them' })
  const unconnected = owned(t, Correspondent.create(settings))
  const connecting = assert.rejects(unconnected.connect(), { code: 'lifecycle' })
  const begun = Promise.allSettled([
    correspondent.request(ask('y'), SOON),
    unconnected.request(ask('z'), SOON),
  ])
  const startedMs = monotonicMs()
  await Promise.all([correspondent, unconnected].map(each => each[Symbol.asyncDispose]()))
  await connecting
  for (const result of [...(await outcomes), ...(await begun)]) {
    assert.equal(result.status === 'rejected' && result.reason.code, 'lifecycle')
  }
  assert.ok(monotonicMs() - startedMs < 12_000)
  await assert.rejects(correspondent.request(ask('x'), SOON), { code: 'lifecycle' })
  await assert.rejects(correspondent.connect(), { code: 'lifecycle' })
})

test('no more requests are open than the limit says, and none twice', async t => {
  const settings = await newConfig(t, { requests_max: 3 })
  const { held, answer } = await startHolding(t, settings)
  const correspondent = await connected(t, settings)
  const first = ask('0')
  const open = [first, ask('1')].map(frame => correspondent.request(frame, SOON))
  await assert.rejects(correspondent.request(first, SOON), {
    code: 'event',
    message: /is open already/,
  })
  open.push(correspondent.request(ask('2'), SOON))
  await assert.rejects(correspondent.request(ask('3'), SOON), {
    code: 'lifecycle',
    retryable: true,
    message: /3 requests are open, which is requests_max/,
  })
  await until(() => held.length === 3, { deadlineMs: 20_000, what: 'the worker has them' })
  await Promise.all(held.map(frame => answer(frame)))
  assert.deepEqual(
    (await Promise.all(open)).map(reply => reply.text()),
    ['0', '1', '2'],
  )
})

test('when another joins, requests on the partition it gets fail at once, and the others go on', async t => {
  const settings = await newConfig(t, { reply_partitions: 2 })
  const { held, answer } = await startHolding(t, settings)
  const correspondent = await connected(t, settings)
  const requests = [ask('a'), ask('b'), ask('c'), ask('d')]
  const outcomes = requests.map(frame =>
    correspondent.request(frame, { timeoutMs: 60_000 }).then(
      reply => reply.text(),
      error => error,
    ),
  )
  await until(() => held.length === 4, { deadlineMs: 20_000, what: 'the worker has them' })
  const other = owned(t, reply_to_subscriber.create(settings))
  await other.connect()
  const lost = new Set(other.partitions.partitions)
  assert.equal(lost.size, 1)
  const startedMs = monotonicMs()
  const isLost = (frame: AirCoreFrame) =>
    lost.has(held.find(({ id }) => id === frame.id)?.reply_to?.partition as number)
  for (const [n, frame] of requests.entries()) {
    if (!isLost(frame)) continue
    const error = await outcomes[n]
    assert.ok(error instanceof ReplyPartitionLost && error instanceof SluiceError, String(error))
    assert.equal(error.retryable, true)
    assert.match(error.message, /is not read here any more: .* unknown; send it again/)
  }
  assert.ok(monotonicMs() - startedMs < 10_000)
  await Promise.all(held.map(frame => answer(frame)))
  for (const [n, frame] of requests.entries()) {
    if (!isLost(frame)) assert.equal(await outcomes[n], frame.text())
  }
  assert.equal(requests.filter(isLost).length, 2)
})

test('when the member is put out of its group, requests fail at once, and later ones are answered', async t => {
  const settings = await newConfig(t)
  const { held, answer } = await startHolding(t, settings)
  const correspondent = await connected(t, settings)
  const outcome = correspondent.request(ask('x'), { timeoutMs: 60_000 }).catch(error => error)
  await until(() => held.length === 1, { deadlineMs: 20_000, what: 'the worker has it' })
  const startedMs = monotonicMs()
  await putOut(settings.groups.reply_to)
  assert.ok((await outcome) instanceof ReplyPartitionLost)
  assert.ok(monotonicMs() - startedMs < 10_000)
  const later = correspondent.request(ask('y'), SOON)
  await until(() => held.length === 2, { deadlineMs: 20_000, what: 'the worker has the other' })
  await answer(held[1]!)
  assert.equal((await later).text(), 'y')
})

test('an instance for which there is no reply partition is told so, and what helps', async t => {
  const settings = await newConfig(t, { reply_partitions: 1, connect_timeout_ms: 2_000 })
  const both = [await connected(t, settings), owned(t, Correspondent.create(settings))] as const
  // Either of them may get the partition.
  await both[1].connect().catch(error => assert.ok(error instanceof NoPartition))
  await until(() => both[0].partitions.length + both[1].partitions.length === 1, {
    deadlineMs: 20_000,
    what: 'one of them has the partition',
  })
  const poor = both[0].partitions.length === 0 ? both[0] : both[1]
  await assert.rejects(poor.connect(), error => {
    assert.ok(error instanceof NoPartition)
    assert.match(error.message, /reply_group be 'instance'/)
    return true
  })
  await assert.rejects(poor.request(ask('x'), { timeoutMs: 300 }), error => {
    assert.ok(error instanceof RequestTimeout)
    assert.equal(error.details.partition, null)
    assert.match(error.message, /it was not sent, because no reply partition was assigned/)
    return true
  })
  assert.equal(poor.open_requests, 0)
})

test('with a group of its own an instance keeps its replies when others come and go', async t => {
  const settings = await newConfig(t, { reply_group: 'instance' })
  const { held, answer } = await startHolding(t, settings)
  const correspondent = await connected(t, settings)
  assert.deepEqual(correspondent.partitions, [0, 1])
  const requests = Array.from({ length: 6 }, (_, n) => correspondent.request(ask(`${n}`), SOON))
  await until(() => held.length === 6, { deadlineMs: 20_000, what: 'the worker has them' })
  const other = await connected(t, settings)
  assert.deepEqual(other.partitions, [0, 1])
  assert.equal((await groupsNamed(settings.groups.reply_to)).length, 2)
  await Promise.all(held.slice(0, 3).map(frame => answer(frame)))
  await other[Symbol.asyncDispose]()
  await Promise.all(held.slice(3).map(frame => answer(frame)))
  assert.deepEqual((await Promise.all(requests)).map(reply => reply.text()).sort(), [
    '0',
    '1',
    '2',
    '3',
    '4',
    '5',
  ])
  await correspondent[Symbol.asyncDispose]()
  assert.deepEqual(await groupsNamed(settings.groups.reply_to), [])
})

test('with a group of its own a request outlives even the loss of the membership', async t => {
  const settings = await newConfig(t, { reply_group: 'instance' })
  const { held, answer } = await startHolding(t, settings)
  const correspondent = await connected(t, settings)
  const request = correspondent.request(ask('x'), { timeoutMs: 30_000 })
  await until(() => held.length === 1, { deadlineMs: 20_000, what: 'the worker has it' })
  const [group] = await groupsNamed(settings.groups.reply_to)
  const before = await membersOf(group!)
  await putOut(group!)
  await until(
    async () => {
      const now = await membersOf(group!)
      return now.length === 1 && now[0] !== before[0]
    },
    { deadlineMs: 20_000, what: 'it has joined as a new member' },
  )
  await answer(held[0]!)
  assert.equal((await request).text(), 'x')
})

test('a typed question gets a typed answer, and an answer that is none is an error', async t => {
  const settings = await newConfig(t)
  await startWorker(t, settings, async (frame, reply) => {
    const { a, b } = JSON.parse(frame.text())
    const payload = frame.type === 'Add' ? JSON.stringify({ sum: a + b }) : 'secret, no JSON'
    await reply(AirCoreFrame.reply(frame, payload))
  })
  const codec = json_payload<{ a: number; b: number }, { sum: number }>()
  const correspondent = owned(t, Correspondent.create(settings, { codec }))
  await correspondent.connect()
  const answer = await correspondent.ask({ a: 1, b: 2 }, { ...SOON, type: 'Add', key: 'k' })
  assert.equal(answer.sum, 3)
  await assert.rejects(correspondent.ask({ a: 1, b: 2 }, { ...SOON, type: 'Other' }), error => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'event')
    assert.doesNotMatch(`${error.message} ${error.cause}`, /secret/)
    return true
  })
})

test('what is no request, and a time that is none, is refused before anything is sent', async t => {
  const correspondent = owned(t, Correspondent.create(config.local({ brokers: ['127.0.0.1:9'] })))
  const event = AirCoreFrame.event({ type: 'T' })
  await assert.rejects(correspondent.request(event, SOON), { code: 'event' })
  for (const timeoutMs of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
    await assert.rejects(correspondent.request(ask('x'), { timeoutMs }), { code: 'options' })
  }
  await assert.rejects(correspondent.request(ask('x'), SOON), {
    code: 'lifecycle',
    message: /connect\(\) first/,
  })
  await assert.rejects(correspondent.ask(1 as never, { ...SOON, type: 'T' }), /codec was not given/)
})

test('a missing topic is an error of connecting, which names it', async t => {
  const settings = configOfMissing(t)
  const correspondent = owned(t, Correspondent.create(settings))
  await assert.rejects(correspondent.connect(), {
    code: 'options',
    message: /does not exist: .*create_topics/,
  })
})
