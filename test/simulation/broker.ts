import { partitionOfKey, partitionOfKeyless } from '../../src/kafka/partitioner.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { Send } from './ledger.ts'
import { randomStream } from './random.ts'
import type { World } from './world.ts'

/** The cluster: what it has stored, in the order in which it stored it. */
export class Broker {
  readonly #world: World
  readonly #partitions: ReadonlyMap<string, number>
  readonly #offsets = new Map<string, number>()
  /** Requests whose bytes are still under way. */
  underWay = 0

  constructor(world: World) {
    this.#world = world
    const random = randomStream(world.plan.seed, 'partitions')
    this.#partitions = new Map(
      world.plan.topics.map(topic => [topic, 1 + Math.floor(random() * 4)]),
    )
  }

  partitionOf({ topic, key, id }: OutboxEvent): number {
    const partitions = this.#partitions.get(topic) ?? 1
    return key === null ? partitionOfKeyless(id, partitions) : partitionOfKey(key, partitions)
  }

  /** Stores all records of a request. @returns the first one's offset */
  append(send: Send, partition: number, events: readonly OutboxEvent[]): number {
    const { ledger, history, time } = this.#world
    const name = `${events[0]!.topic}-${partition}`
    const offset = this.#offsets.get(name) ?? 0
    this.#offsets.set(name, offset + events.length)
    for (const [n, event] of events.entries()) {
      const record = ledger.of(event.eventId)
      const epoch = send.epochs[n]!
      record.appends.push({ send, epoch, atMs: time.nowMs, turn: ledger.appends++ })
      if (record.status !== 'committed' && record.appends.length === 1) {
        ledger.violation(`phantom: ${event.eventId} was published while it was ${record.status}`)
      }
      if (record.plan.topic !== event.topic || record.plan.key !== event.key) {
        ledger.violation(`mutated: ${event.eventId} was published with another topic or key`)
      }
    }
    const ids = events.map(({ eventId }) => eventId).join(' ')
    history.add('broker', `stores ${name}@${offset} ${ids} of ${send.replica}`)
    return offset
  }
}
