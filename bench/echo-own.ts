import type { KafkaConnection } from '../src/kafka/connection.ts'
import {
  AirCoreFrame,
  Correspondent,
  config,
  publisher,
  topic_type,
  worker_subscriber,
} from '../src/pubsub/index.ts'
import type { Echo, EchoTopics } from './echo.ts'

/** Frames that a worker handles at once. */
const LOOPS = 64
const TIMEOUT_MS = 30_000

/** A Correspondent, and a worker with `worker_subscriber` and `publisher`. */
export async function openOwnEcho(
  connection: KafkaConnection,
  { requests: worker, replies: reply_to }: EchoTopics,
): Promise<Echo> {
  const settings = new config({
    connection,
    topics: { worker, reply_to },
    groups: { worker: `${worker}-own`, reply_to: `${reply_to}-own` },
    requests_max: 100_000,
  })
  const replies = publisher.create(settings)
  const requests = worker_subscriber.create(settings)
  const correspondent = Correspondent.create(settings)
  await Promise.all([replies.connect(), requests.connect(), correspondent.connect()])
  const loops = Array.from({ length: LOOPS }, async () => {
    for await (const request of requests.frames) {
      const reply = AirCoreFrame.reply(request, request.payload)
      await replies.send(reply, { topic_type: topic_type.reply_to })
    }
  })
  return {
    ask: payload => {
      const frame = AirCoreFrame.request({ type: 'Echo', payload })
      return correspondent.request(frame, { timeoutMs: TIMEOUT_MS })
    },
    close: async () => {
      await correspondent[Symbol.asyncDispose]()
      await requests[Symbol.asyncDispose]()
      await Promise.all(loops)
      await replies[Symbol.asyncDispose]()
    },
  }
}
