import { Broker } from './broker.ts'
import { check } from './checker.ts'
import { Fleet } from './fleet.ts'
import { History } from './history.ts'
import { Ledger } from './ledger.ts'
import { Nemesis } from './nemesis.ts'
import { Operator } from './operator.ts'
import type { Plan } from './plan.ts'
import { PostgresServer } from './postgres-server.ts'
import { Refusals } from './refusals.ts'
import { VirtualTime, WORLD } from './virtual-time.ts'
import { Weather } from './weather.ts'
import { Writers } from './writers.ts'

const STOP_MS = 20_000
/** The longest pause between two looks for events that have become due. */
const RESCAN_PAUSE_MS = 5_000
/** Dead letters of one key that blocks are looked at one after the other, about one a second. */
const OPERATOR_MS = 60_000
const SETTLE_MS = 1_000
const FAR_MS = 3_600_000

/** One seed: the replicas, everything around them, and what was seen. */
export class World {
  readonly plan: Plan
  readonly time: VirtualTime
  readonly history: History
  readonly ledger: Ledger
  readonly weather: Weather
  readonly server: PostgresServer
  readonly broker: Broker
  readonly refusals: Refusals
  readonly fleet: Fleet
  readonly writers: Writers
  longestReadingMs = 0

  constructor(plan: Plan) {
    this.plan = plan
    this.time = new VirtualTime(plan.seed, (error, owner) => this.failed(error, owner))
    this.history = new History(() => this.time.elapsedMs)
    this.ledger = new Ledger(text => this.history.add('VIOLATED', text))
    this.weather = new Weather(plan)
    this.server = new PostgresServer(this.time, this.history, this.ledger)
    this.broker = new Broker(this)
    this.refusals = new Refusals(this)
    this.fleet = new Fleet(this)
    this.writers = new Writers(this)
    new Operator(this)
    new Nemesis(this)
  }

  /** To be called once, with this world's clock in place. */
  async run(): Promise<void> {
    const { time, plan, ledger, weather } = this
    for (let n = 0; n < plan.replicas; n++) this.fleet.start()
    const startedMs = time.nowMs
    const isOver = () => ledger.violations.length > 0
    await this.#passUntil(startedMs + plan.activeMs, isOver)
    if (isOver()) return
    this.#heal()
    const healedMs = time.nowMs
    // The bound may grow: a reading that was slow before the healing ends after it.
    const isLate = () => time.nowMs - healedMs > this.#drainMsMax()
    await this.#passUntil(Number.POSITIVE_INFINITY, () => {
      return isOver() || this.#isDrained() || isLate()
    })
    if (isOver()) return
    if (!this.#isDrained()) this.#tellStuck()
    // Calls that were slow before the healing end on their own.
    await this.#passUntil(Math.max(time.nowMs, weather.calmFromMs) + SETTLE_MS, isOver)
    await this.#stopAll()
    check(this)
  }

  failed(error: unknown, who: string): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.ledger.violation(`died: ${who}: ${text}`)
  }

  async #passUntil(untilMs: number, done: () => boolean): Promise<void> {
    const { time } = this
    let reached = false
    const leftMs = Math.min(untilMs - time.nowMs, FAR_MS)
    const end = time.after(leftMs, WORLD, () => {
      reached = true
    })
    await time.run(() => reached || done())
    end.cancelled = true
    if (time.exhausted) this.ledger.violation('endless: the replicas never rest')
  }

  #heal(): void {
    const { time, weather, server, fleet, history } = this
    history.add('world', 'everything heals')
    weather.heal()
    if (!server.up) server.recover()
    server.pausedLanes.clear()
    server.pausedTopics.clear()
    for (const replica of fleet.all) replica.thaw(time.nowUs % 2 === 0)
    while (fleet.running.length < this.plan.replicas) fleet.start()
  }

  #isDrained(): boolean {
    const { writers, server, broker } = this
    if (writers.open > 0 || server.events.size > 0 || broker.underWay > 0) return false
    return server.blocking.size === 0
  }

  #tellStuck(): void {
    const left = this.server.events.all().map(({ record, lane, id, attempts }) => {
      const { eventId, topic, key } = record.plan
      return `${eventId} (${topic} ${key}, lane ${lane}, id ${id}, attempts ${attempts})`
    })
    const others = `${this.writers.open} writers, ${this.broker.underWay} requests under way, ${this.server.blocking.size} blocking dead letters`
    this.ledger.violation(
      `stuck: ${left.length} events are still there, such as ${left.slice(0, 5).join(', ')}; ${others}`,
    )
  }

  async #stopAll(): Promise<void> {
    const { time, fleet, server, ledger } = this
    const last = fleet.all.filter(({ state }) => state !== 'gone')
    for (const replica of last) if (replica.state === 'running') replica.stop(10_000, () => {})
    const isDone = () => last.every(({ state }) => state === 'gone')
    await this.#passUntil(time.nowMs + STOP_MS, isDone)
    if (!isDone()) ledger.violation('stop: a replica does not end')
    const names = new Set(last.map(({ name }) => name))
    const kept = server.lanes.filter(({ owner }) => owner !== null && names.has(owner))
    if (kept.length > 0) {
      ledger.violation(`stop: ${kept.length} lanes were not given up, such as ${kept[0]!.lane}`)
    }
  }

  /**
   * After the faults everything must be published within this time: leases of dead replicas run out, breakers are
   * tried again, retries and delays come due, what was slow before ends, and so does the pause after a slow reading
   * from low water (src/outbox/lane-starts.ts).
   */
  #drainMsMax(): number {
    const { reserveMs, breakerResetMs, attemptsMax, retryMaxMs } = this.plan.relay
    const triesMs = 2 * reserveMs + 3 * breakerResetMs + attemptsMax * retryMaxMs
    const operatorMs = this.plan.relay.blockingTopics.length > 0 ? OPERATOR_MS : 0
    return triesMs + RESCAN_PAUSE_MS + this.longestReadingMs + operatorMs + 20_000
  }
}
