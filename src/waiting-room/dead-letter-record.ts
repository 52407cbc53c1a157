import { HEADERS, headerText, type SourceRecord } from '../consumer/message.ts'
import type { Tx } from '../consumer/tx.ts'
import { publishCopy } from './record-copy.ts'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Publishes a dead letter at the transaction's commit: the record under its own id, where it lay, and why it died. */
export async function publishDeadLetter(
  tx: Tx,
  record: SourceRecord,
  { topic, reason }: { readonly topic: string; readonly reason: string },
): Promise<void> {
  const id = headerText(record, HEADERS.eventId)
  await publishCopy(tx, {
    record,
    topic,
    headers: { [HEADERS.error]: reason },
    // The outbox takes no other ids.
    eventId: id !== undefined && UUID.test(id) ? id : null,
  })
}
