import type { Kafka } from 'kafkajs'
import { disconnect, freshName } from '../../../src/demo/kafka.ts'

const RETRY = { retries: 8, initialRetryTime: 200, maxRetryTime: 2_000, factor: 0.2, multiplier: 2 }
const GRANTED = 'waiting-room.granted'

/** Reads the topic of the changes and tells whose turn has come. The caller owes the function that it returns. */
export async function watchTurns(
  kafka: Kafka,
  changesTopic: string,
  onTurn: (sessionId: string) => void,
): Promise<() => Promise<void>> {
  let isOver = false
  const consumer = kafka.consumer({
    // A consumer that has crashed just before its end would come back for good.
    retry: { ...RETRY, restartOnFailure: async () => !isOver },
    groupId: freshName('visitors'),
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: 100,
  })
  await consumer.connect()
  await consumer.subscribe({ topic: changesTopic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message: { value, headers } }) => {
      if (String(headers?.event_type) !== GRANTED) return
      const { sessionId } = JSON.parse(String(value)) as { sessionId: string }
      onTurn(sessionId)
    },
  })
  return () => {
    isOver = true
    return disconnect(consumer)
  }
}
