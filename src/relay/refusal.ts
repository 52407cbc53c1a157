import type { OutboxEvent } from '../outbox/event.ts'
import { topicFault } from '../outbox/topic-name.ts'
import type { Rejected } from './producer.ts'

/** Why an event is not even sent, or null. A row can be written by any language, so nothing about it is taken on trust. */
export function refusalOf(event: OutboxEvent): Rejected | null {
  if (event.expired) return refused('expired', 'its expires_at had passed before it was published')
  if (event.oversizedBytes !== undefined) {
    return refused('message_too_large', `its payload has ${event.oversizedBytes} bytes`)
  }
  const fault = topicFault(event.topic)
  return fault === null ? null : refused('invalid_topic', fault)
}

function refused(code: string, message: string): Rejected {
  return { kind: 'rejected', code, message, permanent: true }
}
