import type { RecordHeader, SourceRecord } from '../consumer/message.ts'
import { CONTROL_CODEC } from './control-codec.ts'
import type { TaskEvent } from './control-event.ts'
import { headersFromJson } from './task-headers.ts'

/** A task as the control topic tells of it. */
export interface RebuiltTask {
  readonly messageId: string
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
  readonly recordAt: Date | null
  readonly ordered: boolean
  readonly state: Exclude<TaskEvent['state'], 'done'>
  readonly attempts: number
  readonly rev: number
  readonly dueAt: Date | null
  readonly expiresAt: Date | null
  readonly reason: string | null
}

/**
 * Builds a group's tasks anew from the records of its control topic, each key's in their order. What is there twice
 * counts once: a relay that was interrupted repeats an end of what it published, and the repetition ends as the original
 * did. A claim is not told of, so a task that a worker has is here as it was before.
 * @returns by message id
 */
export async function rebuildTasks(
  records: AsyncIterable<SourceRecord> | Iterable<SourceRecord>,
  group: string,
): Promise<Map<string, RebuiltTask>> {
  const tasks = new Map<string, RebuiltTask>()
  for await (const record of records) {
    const message = CONTROL_CODEC.decode(record.value, record)
    if (message.kind === 'event' && message.event.group === group) tell(tasks, message.event)
  }
  return tasks
}

function tell(tasks: Map<string, RebuiltTask>, event: TaskEvent): void {
  const known = tasks.get(event.messageId)
  if (known && event.rev <= known.rev) return
  if (event.state === 'done') tasks.delete(event.messageId)
  else tasks.set(event.messageId, { ...recordOf(event, known), ...factsOf(event, event.state) })
}

type RecordOf = Pick<RebuiltTask, 'key' | 'value' | 'headers' | 'recordAt' | 'ordered'>

/** The record goes along with the first event alone; one whose beginning is not in the topic any more has none. */
function recordOf(event: TaskEvent, known: RebuiltTask | undefined): RecordOf {
  if (event.rev !== 1) {
    const { key = null, value = null, headers = [], recordAt = null, ordered = false } = known ?? {}
    return { key, value, headers, recordAt, ordered }
  }
  return {
    key: bytesOf(event.key),
    value: bytesOf(event.value),
    headers: headersFromJson(event.headers ?? []),
    recordAt: timeOf(event.recordAt),
    ordered: event.ordered ?? false,
  }
}

function factsOf(event: TaskEvent, state: RebuiltTask['state']): Omit<RebuiltTask, keyof RecordOf> {
  const { messageId, topic, partition, offset, attempts, rev, reason = null } = event
  return {
    messageId,
    topic,
    partition,
    offset: BigInt(offset),
    state,
    attempts,
    rev,
    dueAt: timeOf(event.dueAt),
    expiresAt: timeOf(event.expiresAt),
    reason,
  }
}

function bytesOf(base64: string | null | undefined): Buffer | null {
  return base64 === null || base64 === undefined ? null : Buffer.from(base64, 'base64')
}

function timeOf(text: string | undefined): Date | null {
  return text === undefined ? null : new Date(text)
}
