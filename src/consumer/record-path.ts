import type { NotDoneOutcome } from './classify.ts'
import type { ConsumerListener } from './consumer-events.ts'
import type { Deliver } from './deliverer.ts'
import type { Delivery, DeliveryStore, Parking } from './delivery-store.ts'
import { POSTGRES } from './gates.ts'
import { HEADERS, type Message } from './message.ts'
import type { MessageHandling, Reading } from './message-handling.ts'
import { deadParking, parkingOf } from './parking.ts'
import type { QueuedRecord } from './partition-queue.ts'
import { type PartitionWork, placeOf, STARTS_SUSPECT } from './partition-work.ts'
import type { Readiness } from './readiness.ts'
import { retryDue } from './retry-due.ts'
import type { RoomWatch } from './room-watch.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'

/**
 * `finished`: it is handled, or the waiting room has it · `again`: it stays where it is · `{ waitMs }`: so too, and
 * its partition waits · `given_up`: somebody else will have it.
 */
export type RecordEnd = 'finished' | 'again' | 'given_up' | { readonly waitMs: number }

export interface RecordPathParts {
  readonly settings: SubscriptionSettings
  readonly store: DeliveryStore
  readonly handling: MessageHandling
  readonly deliver: Deliver
  readonly readiness: Readiness
  readonly room: RoomWatch
  readonly emit: ConsumerListener
  /** Something waits in the waiting room that did not before. */
  readonly parked: () => void
}

type MessageReading = Extract<Reading, { kind: 'message' }>

/** Clocks of hosts may be so wrong; within it the database, whose clock decides, is asked whether a delay is over. */
const CLOCK_ERROR_MS = 3_600_000
const WAIT_MS_MAX = 2 ** 31 - 1

/** The way of one record, from reading it to its end. */
export class RecordPath {
  readonly #parts: RecordPathParts

  constructor(parts: RecordPathParts) {
    this.#parts = parts
  }

  /** Never rejects. */
  async run(queued: QueuedRecord, work: PartitionWork): Promise<RecordEnd> {
    return await this.follow(this.#parts.handling.read(queued.record), queued, work)
  }

  /** As `run`, with a record that was read already. */
  async follow(reading: Reading, queued: QueuedRecord, work: PartitionWork): Promise<RecordEnd> {
    const { settings } = this.#parts
    const { delivery } = reading
    if (work.abandon.aborted) return 'given_up'
    try {
      if (work.careful && (await this.#kills(delivery, queued, work))) return 'finished'
      if (reading.kind === 'ignored') return await this.#drop('ignored', delivery)
      if (reading.kind === 'bad') {
        this.#tellNotDone(delivery, { kind: 'bad', reason: reading.reason }, 0, undefined)
        await this.#park(delivery, deadParking(reading.reason, 0, settings), reading.reason, null)
        return 'finished'
      }
      if (isExpired(reading)) return await this.#drop('expired', delivery)
      const waitMs = delayMs(reading)
      if (waitMs > 0 && settings.order === 'partition') {
        return waitMs > CLOCK_ERROR_MS
          ? { waitMs: Math.min(waitMs - CLOCK_ERROR_MS, WAIT_MS_MAX) }
          : await this.#deliver(reading, queued, work)
      }
      if (waitMs > 0) return await this.#delay(reading, work)
      return await this.#deliver(reading, queued, work)
    } catch (error) {
      return this.#storeFailed(delivery, error)
    }
  }

  /** What becomes of a message that was thrown out of its handling. Never rejects. */
  async settle(
    reading: MessageReading,
    error: unknown,
    queued: QueuedRecord,
    work: PartitionWork,
  ): Promise<RecordEnd> {
    if (work.abandon.aborted) return 'given_up'
    const { settings, handling } = this.#parts
    const { delivery, message, expiresAt } = reading
    const attempt = attemptOf(message, queued)
    const outcome = this.#waitable(handling.outcomeOf(error))
    this.#tellNotDone(delivery, outcome, attempt, error)
    if (outcome.kind === 'down') return 'again'
    const inPlace = settings.order === 'partition' && outcome.kind === 'retry'
    if (inPlace && attempt < settings.attemptsMax) {
      queued.retries++
      return { waitMs: waitMsOf(retryDue(outcome, attempt, settings.retry)) }
    }
    const reason = 'reason' in outcome ? outcome.reason : outcome.why
    try {
      await this.#park(delivery, parkingOf(outcome, attempt, settings), reason, expiresAt)
      if (outcome.kind !== 'drop') await this.#parts.room.noteParked(work, delivery)
      return 'finished'
    } catch (storeError) {
      return this.#storeFailed(delivery, storeError)
    }
  }

  /** Waits for what is down; if that is not possible, for a while. */
  #waitable(outcome: NotDoneOutcome): NotDoneOutcome {
    if (outcome.kind !== 'down') return outcome
    const { dependency, reason } = outcome
    if (this.#parts.readiness.failed(dependency, reason)) return outcome
    return { kind: 'retry', reason: `unknown dependency ${dependency}: ${reason}` }
  }

  async #deliver(
    reading: MessageReading,
    queued: QueuedRecord,
    work: PartitionWork,
  ): Promise<RecordEnd> {
    const { deliver, handling, readiness, room, settings, emit } = this.#parts
    const { message, delivery } = reading
    const options = { attempt: attemptOf(message, queued), signal: work.abandon }
    const startedMs = performance.now()
    let how: string | undefined
    try {
      const handle = (_: readonly Delivery[], tx: Parameters<MessageHandling['handle']>[1]) =>
        handling.handle(message, tx, options)
      how = (await deliver([delivery], handle, work.abandon))[0]
    } catch (error) {
      return await this.settle(reading, error, queued, work)
    }
    readiness.succeeded()
    emit({
      kind: 'delivered',
      group: settings.group,
      topic: work.topic,
      handled: how === 'handled' ? 1 : 0,
      duplicates: how === 'duplicate' ? 1 : 0,
      behind: how === 'behind' ? 1 : 0,
      durationMs: performance.now() - startedMs,
    })
    if (how === 'behind') await room.noteParked(work, delivery)
    return 'finished'
  }

  async #delay(reading: MessageReading, work: PartitionWork): Promise<RecordEnd> {
    const { delivery, delayUntil, expiresAt } = reading
    const parking: Parking = { kind: 'delay', due: { at: delayUntil as Date } }
    await this.#park(delivery, parking, 'delay', expiresAt)
    await this.#parts.room.noteParked(work, delivery)
    return 'finished'
  }

  async #drop(why: 'expired' | 'ignored', delivery: Delivery): Promise<RecordEnd> {
    this.#tellNotDone(delivery, { kind: 'drop', why }, 0, undefined)
    await this.#park(delivery, { kind: 'drop', why }, why, null)
    return 'finished'
  }

  /** Whether the record has killed its process again and again; it is then parked until someone has looked at it. */
  async #kills(delivery: Delivery, queued: QueuedRecord, work: PartitionWork): Promise<boolean> {
    // Tried again without leaving the queue: this process is alive.
    if (queued.announced) return false
    const starts = await this.#parts.store.attempting(placeOf(work), delivery.record.offset)
    queued.announced = true
    if (starts < STARTS_SUSPECT) return false
    const reason = 'killed its process'
    this.#tellNotDone(delivery, { kind: 'hold', reason }, starts - 1, undefined)
    const parking: Parking = { kind: 'hold', attempts: starts - 1, reason }
    await this.#park(delivery, parking, reason, null)
    return true
  }

  async #park(
    delivery: Delivery,
    parking: Parking,
    reason: string,
    expiresAt: Date | null,
  ): Promise<void> {
    const { store, readiness, emit, settings, parked } = this.#parts
    await store.park(delivery, parking, { expiresAt })
    readiness.parked()
    if (parking.kind === 'dead' || (parking.kind === 'drop' && parking.why === 'bad')) {
      const attempts = parking.kind === 'dead' ? parking.attempts : 0
      emit({ kind: 'dead', ...ofRecord(settings.group, delivery), reason, attempts })
    } else if (parking.kind !== 'drop') parked()
  }

  /** The record itself stays; without the store nothing may be taken over. */
  #storeFailed(delivery: Delivery, error: unknown): RecordEnd {
    const { handling, readiness, emit, settings } = this.#parts
    emit({ kind: 'store_failed', group: settings.group, error })
    const outcome = handling.outcomeOf(error)
    const reason = outcome.kind === 'down' ? outcome.reason : `${delivery.messageId}: not stored`
    readiness.failed(POSTGRES, reason)
    return 'again'
  }

  #tellNotDone(delivery: Delivery, outcome: NotDoneOutcome, attempt: number, error: unknown): void {
    const { emit, settings } = this.#parts
    const of = ofRecord(settings.group, delivery)
    emit({ kind: 'not_done', ...of, outcome, attempt, error })
  }
}

function ofRecord(group: string, { record, messageId }: Delivery) {
  const { topic, partition, offset } = record
  return { group, topic, partition, offset, messageId }
}

function isExpired({ expiresAt }: MessageReading): boolean {
  return expiresAt !== null && expiresAt.getTime() <= Date.now()
}

/** Above 0: it may be too early for it; how long, if this host's clock were an hour ahead. */
export function delayMs({ delayUntil }: MessageReading): number {
  return delayUntil === null ? 0 : delayUntil.getTime() + CLOCK_ERROR_MS - Date.now()
}

/** Whether the message may be handled now, as far as its times say. */
export function isDue(reading: MessageReading): boolean {
  return !isExpired(reading) && delayMs(reading) <= 0
}

function attemptOf({ headers }: Message, { retries }: QueuedRecord): number {
  const before = Number(headers[HEADERS.attempt] ?? 0)
  return (Number.isSafeInteger(before) && before > 0 ? before : 0) + retries + 1
}

function waitMsOf(due: { inMs: number } | { at: Date }): number {
  const waitMs = 'at' in due ? due.at.getTime() - Date.now() : due.inMs
  return Math.min(Math.max(waitMs, 1), WAIT_MS_MAX)
}
