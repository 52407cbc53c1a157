import type { RelayEvent } from '../../src/events.ts'
import { withDeadline } from '../../src/internal/deadline.ts'
import type { ReserveOptions } from '../../src/outbox/adapter.ts'
import type { LaneStart } from '../../src/outbox/event-store.ts'
import type { Survey } from '../../src/outbox/lane-store.ts'
import type { LeasedAdapter } from '../../src/outbox/leased-adapter.ts'
import { Relay } from '../../src/relay/relay.ts'
import { Connection } from './connection.ts'
import { EventStatements } from './event-statements.ts'
import { IdStatements } from './id-statements.ts'
import { LaneStatements } from './lane-statements.ts'
import type { Trouble } from './ledger.ts'
import { ObservedAdapter } from './observed-adapter.ts'
import { SimulatedProducer } from './simulated-producer.ts'
import { WORLD } from './virtual-time.ts'
import type { World } from './world.ts'

const OUTAGES: ReadonlySet<string> = new Set([
  'freeze',
  'broker_down',
  'broker_slow',
  'credentials',
  'topic_missing',
  'topic_refusing',
  'send_failed',
  'ack_lost',
  'late_write',
  'grace_over',
])

/** A relay with its adapter, as src/create-outbox.ts puts them together, on simulated ports. */
export class Replica {
  readonly name: string
  readonly #world: World
  readonly #adapter: LeasedAdapter
  readonly #producer: SimulatedProducer
  readonly #relay: Relay
  #pauses: Survey | null = null
  state: 'running' | 'frozen' | 'stopping' | 'gone' = 'running'

  constructor(world: World, name: string) {
    this.name = name
    this.#world = world
    const { relay } = world.plan
    const connection = new Connection(world, name)
    const onSurvey = (survey: Survey) => {
      this.#pauses = survey
    }
    const emit = (event: RelayEvent) => this.#listen(event)
    const onRead = (lanes: readonly LaneStart[], options: ReserveOptions) =>
      this.#mindsPauses(lanes, options)
    this.#producer = new SimulatedProducer(world, name)
    this.#adapter = new ObservedAdapter(world, name, {
      lanes: new LaneStatements(world, name, connection, onSurvey),
      events: new EventStatements(world, name, connection, onRead),
      ids: new IdStatements(world, name, connection),
      reserveMs: relay.reserveMs,
      emit,
      onSurvey: ({ breakersElsewhere }) => this.#relay.suspect(breakersElsewhere),
    })
    this.#relay = new Relay(relay, { adapter: this.#adapter, producer: this.#producer, emit })
    this.#adapter.completed.catch(error => world.failed(error, name))
    this.#relay.died.catch(error => world.failed(error, name))
    world.history.add(name, 'starts')
  }

  freeze(): void {
    this.state = 'frozen'
    this.#world.time.freeze(this.name)
    this.#world.history.add(this.name, 'freezes')
  }

  thaw(timersFirst: boolean): void {
    if (this.state !== 'frozen') return
    this.state = 'running'
    this.#world.history.add(this.name, 'thaws')
    this.#world.time.thaw(this.name, timersFirst)
  }

  kill(): void {
    this.state = 'gone'
    this.#world.time.kill(this.name)
    this.#world.server.breakers.delete(this.name)
    this.#world.history.add(this.name, 'is killed')
  }

  /** In the order of src/create-outbox.ts. `ended` is called as the world. */
  stop(graceMs: number, ended: () => void): void {
    const { time, history, ledger } = this.#world
    const begunMs = time.nowMs
    this.state = 'stopping'
    history.add(this.name, `stops within ${Math.round(graceMs)} ms`)
    const steps = async () => {
      const drained = await this.#relay.stop(graceMs)
      await this.#producer.close()
      try {
        await withDeadline(this.#adapter.stop(), 1_500, () => new Error('it took too long'))
      } catch (error) {
        history.add(this.name, `could not give up its lanes: ${(error as Error).message}`)
      }
      time.after(0, WORLD, () => {
        if (this.state === 'gone') return
        if (!drained) ledger.trouble('grace_over', this.name, begunMs, time.nowMs)
        this.kill()
        ended()
      })
    }
    time.runAs(this.name, () => {
      steps().catch(error => this.#world.failed(error, this.name))
    })
  }

  #listen(event: RelayEvent): void {
    const { server, ledger, time, history } = this.#world
    if (event.kind === 'below_low_water') {
      ledger.violation(`low water: ${this.name} found events below it in lanes ${event.lanes}`)
    }
    if (event.kind === 'lanes_given_up') {
      history.add(this.name, `no longer holds ${event.lanes.join(' ')}: ${event.reason}`)
    }
    if (event.kind !== 'breaker_changed') return
    const { breaker, state } = event
    history.add(this.name, `breaker ${breaker} is ${state}`)
    if (state === 'open' && !ledger.troubles.some(isOutage)) {
      ledger.violation(`breaker: ${breaker} of ${this.name} opened although nothing was wrong`)
    }
    time.after(5, WORLD, () => {
      if (this.state === 'gone') return
      const open = server.breakers.get(this.name) ?? new Set()
      if (state === 'open') open.add(breaker)
      else open.delete(breaker)
      server.breakers.set(this.name, open)
    })
  }

  /** From the look round on that has told of a pause, nothing that is paused is read. */
  #mindsPauses(lanes: readonly LaneStart[], { exceptTopics }: ReserveOptions): void {
    if (this.#pauses === null) return
    const { pausedLanes, pausedTopics } = this.#pauses
    const { ledger } = this.#world
    const lane = lanes.find(start => pausedLanes.includes(start.lane))
    if (lane) ledger.violation(`paused: ${this.name} reads lane ${lane.lane}`)
    const topic = pausedTopics.find(paused => !exceptTopics.includes(paused))
    if (topic) ledger.violation(`paused: ${this.name} reads topic ${topic}`)
  }
}

/** What an event's own fault is not. */
function isOutage({ kind }: Trouble): boolean {
  return OUTAGES.has(kind)
}
