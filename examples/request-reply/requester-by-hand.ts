// KAFKA_BROKERS=… node --import tsx examples/request-reply/requester-by-hand.ts requester-2
import { randomUUID } from 'node:crypto'
import { AirCoreFrame, publisher, reply_to_subscriber, topic_type } from '../../src/pubsub/index.ts' // 'sluice-outbox/pubsub' in your project
import { heard, name, tell } from './role.ts'
import { settings } from './settings.ts'
import { sums } from './sum.ts'

const QUESTIONS = 6

// What a Correspondent does for you, but for time-outs and lost partitions.
await using requests = publisher.create(settings)
await using replies = reply_to_subscriber.create(settings)
await replies.connect()
tell('ready')
await heard()

const open = new Map<string, string>()
for (let n = 0; n < QUESTIONS; n++) {
  const partition = await replies.partitions.get_next_partition()
  const payload = sums.encode({ a: n, b: 100 * n })
  const frame = AirCoreFrame.request({ type: 'Sum', payload }).with({
    correlation_id: randomUUID(),
    reply_to: { topic: settings.topics.reply_to, partition },
  })
  open.set(frame.correlation_id ?? '', `${n} + ${100 * n}`)
  await requests.send(frame, { topic_type: topic_type.worker })
}
for await (const reply of replies.frames) {
  const question = open.get(reply.correlation_id ?? '')
  if (question === undefined) continue
  open.delete(reply.correlation_id ?? '')
  const { sum, by } = sums.decode(reply.payload)
  process.stdout.write(`${name}: ${question} = ${sum}, says ${by}\n`)
  if (open.size === 0) break
}

tell('done')
await heard()
process.disconnect?.()
