import type { Kafka } from 'kafkajs'
import { disconnect, endOffsets } from '../../../src/demo/kafka.ts'
import { AirCoreFrame } from '../../../src/pubsub/index.ts'
import { type ReadMessage, readMessages } from '../campaign/read-records.ts'
import { groupOffsets } from '../consumer/group-offsets.ts'
import type { PubsubStage } from './campaign.ts'
import type { PubsubHappening, PubsubHistory } from './history.ts'

/** Puts into the history what the topics hold, once at rest, and what the parties have written. */
export async function collect(
  stage: PubsubStage,
  kafka: Kafka,
  { history, logFiles }: { history: PubsubHistory; logFiles: readonly string[] },
): Promise<void> {
  for (const file of logFiles) await history.read(file)
  const { workerTopic, replyTopic, workerGroup } = stage
  await readMessages(kafka, [workerTopic, replyTopic], read => history.tell(recordOf(stage, read)))
  const admin = kafka.admin()
  await admin.connect()
  try {
    const offsets = await groupOffsets(admin, workerGroup, [workerTopic])
    for (const [partition, end] of await endOffsets(admin, workerTopic)) {
      const found = offsets.find(each => each.partition === partition)
      history.tell({ kind: 'last_offset', partition, committed: found?.committed ?? 0, end })
    }
  } finally {
    await disconnect(admin)
  }
}

function recordOf(
  { workerTopic }: PubsubStage,
  { topic, partition, message }: ReadMessage,
): PubsubHappening {
  const frame = AirCoreFrame.fromBinary(message.value ?? Buffer.alloc(0))
  const correlationId = frame.correlation_id ?? ''
  const timestampMs = Number(message.timestamp)
  if (topic !== workerTopic) {
    return { kind: 'reply', correlationId, partition, echo: frame.text(), timestampMs }
  }
  const replyPartition = frame.reply_to?.partition ?? -1
  return { kind: 'request', id: frame.id, correlationId, replyPartition, timestampMs }
}
