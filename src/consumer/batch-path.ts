import type { Delivered, Delivery } from './delivery-store.ts'
import type { BatchHandling } from './handling.ts'
import type { Message } from './message.ts'
import type { Reading } from './message-handling.ts'
import type { QueuedRecord } from './partition-queue.ts'
import type { PartitionWork } from './partition-work.ts'
import { isDue, type RecordEnd, type RecordPath, type RecordPathParts } from './record-path.ts'
import type { Tx } from './tx.ts'

export interface BatchPathParts extends Omit<RecordPathParts, 'handling'> {
  readonly handling: BatchHandling<unknown>
  /** What becomes of a record that cannot be part of a batch, or is left over alone. */
  readonly single: RecordPath
}

type MessageReading = Extract<Reading, { kind: 'message' }>

/** A message with the record that it was read from. */
interface Member {
  readonly reading: MessageReading
  readonly queued: QueuedRecord
}

/** Many records of one partition in one transaction; where that fails, halves of them, down to those at fault. */
export class BatchPath {
  readonly #parts: BatchPathParts

  constructor(parts: BatchPathParts) {
    this.#parts = parts
  }

  /**
   * Calls `finish` with those that are finished; the others stay where they are. Never rejects.
   * @param batch in offset order
   */
  async run(
    batch: readonly QueuedRecord[],
    work: PartitionWork,
    finish: (queued: readonly QueuedRecord[]) => void,
  ): Promise<RecordEnd> {
    const { members, apart } = this.#sorted(batch)
    // A pile, so that the earlier half of a batch that failed comes before the later one.
    const pile = members.length > 0 ? [members] : []
    for (let part = pile.pop(); part !== undefined; part = pile.pop()) {
      const error = await this.#deliver(part, work)
      if (error === undefined) {
        finish(part.map(({ queued }) => queued))
        continue
      }
      const end = await this.#failed(part, error.thrown, work)
      if (end === 'finished') finish([(part[0] as Member).queued])
      else if (end !== null) return end
      else pile.push(part.slice(part.length >> 1), part.slice(0, part.length >> 1))
    }
    for (const { reading, queued } of apart) {
      const end = await this.#parts.single.follow(reading, queued, work)
      if (end !== 'finished') return end
      finish([queued])
    }
    return 'finished'
  }

  /**
   * Those that a batch can have, and those that have their own way. A record that must wait ends the batch, if later
   * ones wait for it.
   */
  #sorted(batch: readonly QueuedRecord[]) {
    const { handling, settings } = this.#parts
    const members: Member[] = []
    const apart: { readonly reading: Reading; readonly queued: QueuedRecord }[] = []
    for (const queued of batch) {
      const reading = handling.read(queued.record)
      if (reading.kind === 'message' && isDue(reading)) {
        members.push({ reading, queued })
        continue
      }
      apart.push({ reading, queued })
      if (reading.delivery.ordered || settings.order === 'partition') break
    }
    return { members, apart }
  }

  /** @returns what was thrown, if anything */
  async #deliver(
    part: readonly Member[],
    work: PartitionWork,
  ): Promise<{ readonly thrown: unknown } | undefined> {
    const { deliver, handling, readiness, room } = this.#parts
    const { abandon: signal } = work
    const startedMs = performance.now()
    const handle = (admitted: readonly Delivery[], tx: Tx) =>
      handling.handleBatch(messagesOf(part, admitted), tx, { signal })
    let delivered: readonly Delivered[]
    try {
      const deliveries = part.map(({ reading }) => reading.delivery)
      delivered = await deliver(deliveries, handle, signal)
    } catch (thrown) {
      return { thrown }
    }
    readiness.succeeded()
    this.#tell(delivered, work, performance.now() - startedMs)
    const behind = delivered.indexOf('behind')
    if (behind >= 0) await room.noteParked(work, (part[behind] as Member).reading.delivery)
    return undefined
  }

  /** @returns null: halves of it are to be tried */
  async #failed(
    part: readonly Member[],
    error: unknown,
    work: PartitionWork,
  ): Promise<RecordEnd | null> {
    if (work.abandon.aborted) return 'given_up'
    const { handling, single } = this.#parts
    const { reading, queued } = part[0] as Member
    const down = () => handling.outcomeOf(error).kind === 'down'
    return part.length === 1 || down() ? await single.settle(reading, error, queued, work) : null
  }

  #tell(delivered: readonly Delivered[], { topic }: PartitionWork, durationMs: number): void {
    const { emit, settings } = this.#parts
    let handled = 0
    let duplicates = 0
    for (const how of delivered) {
      if (how === 'handled') handled++
      else if (how === 'duplicate') duplicates++
    }
    const behind = delivered.length - handled - duplicates
    const { group } = settings
    emit({ kind: 'delivered', group, topic, handled, duplicates, behind, durationMs })
  }
}

/** @param admitted some of the part's, in the same order */
function messagesOf(part: readonly Member[], admitted: readonly Delivery[]): Message[] {
  let next = 0
  const messages: Message[] = []
  for (const { reading } of part) {
    if (reading.delivery.record.offset !== admitted[next]?.record.offset) continue
    messages.push(reading.message)
    next++
  }
  return messages
}
