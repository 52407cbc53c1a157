import type { AnswerMessage, BatchMessage } from '../relay/thread-message.ts'
import { decodeBatch, encodeOutcomes } from '../relay/thread-message.ts'
import type { ClientProducer } from './client-producer.ts'

/**
 * What a publishing thread does: one batch in, one outcome per event out. What crosses the boundary is plain data,
 * because errors and Buffers lose their class on the way.
 */
export function batchTask(producer: ClientProducer) {
  return async (message: BatchMessage): Promise<AnswerMessage> => {
    const batch = decodeBatch(message)
    const { outcomes, view } = await producer.publishKnowing(batch, message.untilMs, message.known)
    return { outcomes: encodeOutcomes(outcomes), view }
  }
}
