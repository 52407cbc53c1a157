import { pause } from '../../src/internal/pause.ts'
import type {
  FailedEvent,
  LaneLease,
  PublishedEvent,
  ReserveOptions,
  Settled,
} from '../../src/outbox/adapter.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { EventStore, LaneStart, Reading } from '../../src/outbox/event-store.ts'
import type { Connection } from './connection.ts'
import { readEvents } from './read-statement.ts'
import type { Transaction } from './transaction.ts'
import type { World } from './world.ts'

const FORCED_AFTER_ASKS = 5

/** What the statements of src/outbox/event-table.ts, read-events.ts and refuse-events.ts do. */
export class EventStatements implements EventStore {
  readonly #world: World
  readonly #replica: string
  readonly #connection: Connection
  /** Told of each reading before it is sent off. */
  readonly #onRead: (lanes: readonly LaneStart[], options: ReserveOptions) => void

  constructor(
    world: World,
    replica: string,
    connection: Connection,
    onRead: (lanes: readonly LaneStart[], options: ReserveOptions) => void,
  ) {
    this.#world = world
    this.#replica = replica
    this.#connection = connection
    this.#onRead = onRead
  }

  async read(
    lanes: readonly LaneStart[],
    limit: number,
    options: ReserveOptions,
  ): Promise<Reading> {
    const { server, history, time } = this.#world
    this.#onRead(lanes, options)
    const startedMs = time.nowMs
    const reading = await this.#connection.run('read', async () => {
      const found = readEvents(server, lanes, limit, options)
      return () => found
    })
    this.#world.longestReadingMs = Math.max(this.#world.longestReadingMs, time.nowMs - startedMs)
    if (reading.events.length > 0) {
      const starts = new Map(lanes.map(({ lane, fromId }) => [lane, fromId]))
      history.add(
        this.#replica,
        `reads ${reading.events.map(e => `${e.eventId}=${e.lane}:${e.id}>=${starts.get(e.lane)}`).join(' ')}`,
      )
    }
    return reading
  }

  async awaitFlush(position: string): Promise<void> {
    const { log } = this.#world.server
    const { signal } = new AbortController()
    const [upTo, start] = position.split(' ')
    for (let asks = 0; ; asks++) {
      const flushed = await this.#connection.run('awaitFlush', async () => () => {
        if (String(this.#world.server.crashes) !== start) throw new Error('started anew')
        // The forced one's own commit flushes what is before it.
        if (asks >= FORCED_AFTER_ASKS) log.flush(log.append())
        return asks >= FORCED_AFTER_ASKS || log.flushed >= Number(upTo)
      })
      if (flushed) return
      await pause(2 ** asks, signal)
    }
  }

  async confirm(
    leases: readonly LaneLease[],
    published: readonly PublishedEvent[],
  ): Promise<Settled> {
    const { server, history, ledger } = this.#world
    const events = published.map(({ event }) => event)
    return this.#connection.run('confirm', async transaction => {
      const held = await this.#held(transaction, leases)
      return () => {
        const rows = events
          .filter(({ lane }) => held.has(lane))
          .map(({ lane, id }) => server.events.find(lane, Number(id)))
          .filter(row => row !== undefined)
        for (const row of rows) {
          server.events.remove(row)
          const { record } = row
          record.end = 'confirmed'
          if (record.appends.length === 0) {
            ledger.violation(
              `lost: ${record.plan.eventId} was confirmed and the broker has never had it`,
            )
          }
        }
        const ids = rows.map(({ record }) => record.plan.eventId).join(' ')
        const fenced = fencedOf(events, held)
        history.add('database', `${this.#replica} confirms ${ids}, ${fenced} fenced`)
        return { settled: rows.length, fenced }
      }
    })
  }

  async confirmFailed(
    leases: readonly LaneLease[],
    failures: readonly FailedEvent[],
  ): Promise<Settled> {
    return this.#connection.run('confirmFailed', async transaction => {
      const held = await this.#held(transaction, leases)
      return () => {
        const ours = failures.filter(({ event }) => held.has(event.lane))
        const settled = ours.filter(failure => this.#refuse(failure))
        const ids = new Set(settled.map(({ event }) => event.id))
        const events = failures.map(({ event }) => event)
        return { settled: settled.length, fenced: fencedOf(events, held), ids }
      }
    })
  }

  #refuse({ event, kind, reason, retryDelayMs, blocksKey }: FailedEvent): boolean {
    const { server, history, refusals } = this.#world
    const row = server.events.find(event.lane, Number(event.id))
    if (row === undefined) return false
    const { record } = row
    const { eventId } = record.plan
    if (row.attempts !== event.attempts) return false
    if (kind === 'retry') {
      server.events.spendAttempt(row, server.nowMs + retryDelayMs)
      history.add('database', `${this.#replica} refuses ${eventId}, attempt ${row.attempts}`)
      refusals.retried(record, reason)
      return true
    }
    server.events.remove(row)
    const blocks = row.record.plan.key !== null && blocksKey === true
    const attempts = row.attempts + (reason === 'expired' ? 0 : 1)
    server.bury({ row, reason, attempts, blocksKey: blocks })
    history.add('database', `${this.#replica} buries ${eventId}: ${reason}`)
    refusals.buried(row, reason, attempts, blocks)
    return true
  }

  /** The lanes whose epoch is still the caller's, locked against a takeover. */
  async #held(transaction: Transaction, leases: readonly LaneLease[]): Promise<Set<number>> {
    const { server } = this.#world
    const held = new Set<number>()
    for (const { lane, epoch } of [...leases].sort((a, b) => a.lane - b.lane)) {
      const row = server.lanes[lane]!
      const isOurs = () => row.owner === this.#replica && String(row.epoch) === epoch
      if (!isOurs()) continue
      await transaction.lock(row, 'share')
      if (isOurs()) held.add(lane)
    }
    return held
  }
}

function fencedOf(events: readonly OutboxEvent[], held: ReadonlySet<number>): number {
  return events.filter(({ lane }) => !held.has(lane)).length
}
