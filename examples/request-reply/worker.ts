// KAFKA_BROKERS=… node --import tsx examples/request-reply/worker.ts worker-1
import { AirCoreFrame, publisher, topic_type, worker_subscriber } from '../../src/pubsub/index.ts' // 'sluice-outbox/pubsub' in your project
import { heard, name, tell } from './role.ts'
import { settings } from './settings.ts'
import { questions } from './sum.ts'

const replies = publisher.create(settings)
const requests = worker_subscriber.create(settings)
await requests.connect()
tell('ready')

// A frame counts as handled once the next one is asked for: what is killed before comes again, to another worker.
const working = (async () => {
  for await (const request of requests.frames) {
    await replies.send(answerTo(request), { topic_type: topic_type.reply_to })
  }
})()

if (process.send) await heard()
else await working
await requests[Symbol.asyncDispose]()
await working
await replies[Symbol.asyncDispose]()
process.disconnect?.()

function answerTo(request: AirCoreFrame): AirCoreFrame {
  const { a, b } = questions.decode(request.payload)
  if (!Number.isFinite(a + b)) {
    return AirCoreFrame.fail(request, { code: 'no_sum', message: 'a and b must be numbers' })
  }
  return AirCoreFrame.reply(request, questions.encode({ sum: a + b, by: name }))
}
