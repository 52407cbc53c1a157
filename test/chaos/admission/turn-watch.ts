import type { Kafka } from 'kafkajs'
import { disconnect, freshName } from '../../../src/demo/kafka.ts'

const GRANTED = 'waiting-room.granted'

/** Reads the topic of the changes and tells whose turn has come. The caller owes the function that it returns. */
export async function watchTurns(
  kafka: Kafka,
  changesTopic: string,
  onTurn: (sessionId: string) => void,
): Promise<() => Promise<void>> {
  const consumer = kafka.consumer({
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
  return () => disconnect(consumer)
}
