import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { Acked, Outcome, Producer, Unknown } from '../../src/relay/producer.ts'
import type { Send } from './ledger.ts'
import { between } from './random.ts'
import { SendChecks } from './send-checks.ts'
import { WORLD } from './virtual-time.ts'
import type { World } from './world.ts'

/** The events of a batch for one partition, by their places in the batch. */
interface Share {
  readonly partition: number
  readonly places: number[]
}

interface Batch {
  readonly events: readonly OutboxEvent[]
  readonly outcomes: (Outcome | undefined)[]
  readonly untilMs: number
  readonly sends: Send[]
  over: boolean
}

type Answer = { readonly offset: number } | { readonly fault: Unknown }

const HELD = unknown('key_held', 'held', 'topic')
const TIMEOUT = unknown('timeout', 'broker', 'cluster')

/** Owes the relay what the real ones do: see the port. Requests go on by themselves once they are sent. */
export class SimulatedProducer implements Producer {
  readonly #world: World
  readonly #replica: string
  readonly #checks: SendChecks
  #closed = false

  constructor(world: World, replica: string) {
    this.#world = world
    this.#replica = replica
    this.#checks = new SendChecks(world, replica)
  }

  async publish(events: readonly OutboxEvent[], untilMs: number): Promise<Outcome[]> {
    const { time } = this.#world
    const batch: Batch = { events, outcomes: [], untilMs, sends: [], over: false }
    this.#checks.begin(events, untilMs)
    const shares = this.#sharesOf(events)
    await new Promise<void>(resolve => {
      const end = () => {
        batch.over = true
        resolve()
      }
      const deadline = time.after(untilMs - time.nowMs, this.#replica, end, true)
      const all = shares.map(share => this.#sendShare(batch, share))
      Promise.all(all)
        .then(end)
        .catch(error => this.#world.failed(error, this.#replica))
        .finally(() => {
          deadline.cancelled = true
        })
    })
    for (const send of batch.sends) if (send.ackedMs === null) send.cause ??= 'no answer in time'
    this.#checks.end(events)
    return events.map((_, place) => batch.outcomes[place] ?? TIMEOUT)
  }

  /** Nothing is sent from here on; what is under way may still arrive. */
  async close(): Promise<void> {
    this.#closed = true
  }

  #sharesOf(events: readonly OutboxEvent[]): Share[] {
    const shares = new Map<string, Share>()
    events.forEach((event, place) => {
      const partition = this.#world.broker.partitionOf(event)
      const name = `${event.topic}-${partition}`
      const share = shares.get(name) ?? { partition, places: [] }
      share.places.push(place)
      shares.set(name, share)
    })
    return [...shares.values()]
  }

  /** One request after the other; a refused event stands in one of its own. */
  async #sendShare(batch: Batch, { partition, places }: Share): Promise<void> {
    const held = new Set<string | null>()
    let at = 0
    while (at < places.length) {
      const request: number[] = []
      for (; at < places.length; at++) {
        const place = places[at]!
        const event = batch.events[place]!
        if (event.key !== null && held.has(event.key)) {
          batch.outcomes[place] = HELD
          continue
        }
        const refused = this.#refusalOf(event) !== null
        if (refused && request.length > 0) break
        request.push(place)
        if (refused) {
          at++
          break
        }
      }
      if (request.length > 0 && !(await this.#sendRequest(batch, partition, request, held))) return
    }
  }

  /** @returns false when the rest of the share must not be sent */
  async #sendRequest(
    batch: Batch,
    partition: number,
    request: readonly number[],
    held: Set<string | null>,
  ): Promise<boolean> {
    const { time, ledger } = this.#world
    if (batch.over || this.#closed || time.nowMs >= batch.untilMs) return false
    const events = request.map(place => batch.events[place]!)
    const refusal = this.#refusalOf(events[0]!)
    const send = this.#checks.send(events)
    batch.sends.push(send)
    const answer = await this.#exchange(send, partition, events, refusal === null)
    if (batch.over) return false
    if ('fault' in answer) {
      for (const place of request) batch.outcomes[place] = answer.fault
      return false
    }
    if (refusal !== null) {
      const record = ledger.of(events[0]!.eventId)
      record.refusedByBroker++
      held.add(events[0]!.key)
      batch.outcomes[request[0]!] = refusal
      return true
    }
    send.ackedMs = time.nowMs
    request.forEach((place, n) => {
      batch.outcomes[place] = ackedAt(partition, answer.offset + n)
    })
    return true
  }

  /** Never resolves when the answer is lost without a word. */
  #exchange(
    send: Send,
    partition: number,
    events: readonly OutboxEvent[],
    stores: boolean,
  ): Promise<Answer> {
    const { time, weather, broker, ledger } = this.#world
    const late = weather.strikes('late_write', 0.03)
    const ackLost = weather.strikes('ack_lost', 0.04)
    const failed = weather.strikes('send_failed', 0.04)
    if (late) ledger.trouble('late_write', this.#replica, time.nowMs)
    if (ackLost) ledger.trouble('ack_lost', this.#replica, time.nowMs)
    if (failed) ledger.trouble('send_failed', this.#replica, time.nowMs)
    broker.underWay++
    return new Promise(resolve => {
      const answer = (found: Answer) =>
        time.after(this.#travelMs(), this.#replica, () => resolve(found))
      const arrive = () => {
        broker.underWay--
        const fault = failed
          ? unknown('NOT_LEADER', 'broker', 'topic')
          : this.#faultOf(events[0]!.topic)
        if (fault !== null) {
          answer({ fault })
          return
        }
        const offset = stores ? broker.append(send, partition, events) : 0
        if (!ackLost) {
          answer({ offset })
          return
        }
        send.cause = 'ack lost'
        if (weather.random() < 0.5) answer({ fault: unknown('reset', 'broker', 'cluster') })
      }
      const lateMs = late ? between(() => weather.random(), 100, 15_000) : 0
      if (late) send.cause = 'late write'
      time.after(this.#travelMs() + lateMs, WORLD, arrive)
    })
  }

  #faultOf(topic: string): Unknown | null {
    const { weather } = this.#world
    if (weather.is('broker_down')) return unknown('connection_refused', 'broker', 'cluster')
    if (weather.is('credentials'))
      return unknown('SASL_AUTHENTICATION_FAILED', 'producer', 'cluster')
    if (weather.is(`missing ${topic}`))
      return unknown('UNKNOWN_TOPIC_OR_PARTITION', 'broker', 'topic')
    if (weather.is(`refusing ${topic}`)) {
      return unknown('TOPIC_AUTHORIZATION_FAILED', 'producer', 'topic')
    }
    return null
  }

  #refusalOf({ eventId }: OutboxEvent): Outcome | null {
    const { plan, refusedByBroker, cured } = this.#world.ledger.of(eventId)
    if (cured || refusedByBroker >= plan.refusals) return null
    return { kind: 'rejected', code: 'refused', message: 'refused', permanent: plan.permanent }
  }

  #travelMs(): number {
    const { weather } = this.#world
    const slowMs = weather.is('broker_slow') ? between(() => weather.random(), 50, 3_000) : 0
    return between(() => weather.random(), 0.2, 3) + slowMs
  }
}

function unknown(code: string, fault: Unknown['fault'], scope: Unknown['scope']): Unknown {
  return { kind: 'unknown', code, message: code, fault, scope }
}

function ackedAt(partition: number, offset: number): Acked {
  return { kind: 'acked', partition, offset: String(offset) }
}
