import type { TimedKind } from './fault-kinds.ts'
import type { PlannedFault } from './plan.ts'
import type { Replica } from './replica.ts'
import { WORLD } from './virtual-time.ts'
import type { World } from './world.ts'

/** Brings the planned faults about, and ends them. */
export class Nemesis {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
    for (const fault of world.plan.faults) {
      world.time.after(fault.atMs, WORLD, () => {
        if (!world.weather.healed) this.#strike(fault)
      })
    }
  }

  #strike(fault: PlannedFault): void {
    const { world, time } = { world: this.#world, time: this.#world.time }
    const { kind, durationMs, target } = fault
    const running = world.fleet.running
    const victim = running[Math.floor(target * running.length)]
    const untilMs = time.nowMs + durationMs
    const ends = (end: () => void) => time.after(durationMs, WORLD, end)
    world.history.add('nemesis', `${kind} for ${Math.round(durationMs)} ms`)
    const strike: Record<TimedKind, () => void> = {
      crash: () => victim && this.#crash(victim, durationMs),
      freeze: () => {
        if (!victim) return
        world.ledger.trouble(kind, victim.name, time.nowMs, untilMs)
        victim.freeze()
        ends(() => victim.thaw(target < 0.5))
      },
      stop: () => {
        if (!victim) return
        world.ledger.count(kind)
        victim.stop(target * 3_000, () => world.fleet.start())
      },
      join: () => {
        world.ledger.count(kind)
        const guest = world.fleet.start()
        ends(() => {
          if (guest.state === 'running' && !world.weather.healed) guest.stop(2_000, () => {})
        })
      },
      database_down: () => {
        world.weather.connectionBreaks++
        this.#weather(kind, kind, durationMs)
      },
      database_slow: () => this.#weather(kind, kind, durationMs),
      database_cut_off: () => {
        if (!victim) return
        world.ledger.trouble(kind, victim.name, time.nowMs, untilMs)
        world.weather.cutOffUntilMs.set(victim.name, untilMs)
      },
      database_crash: () => {
        if (!world.server.up) return
        world.ledger.trouble(kind, null, time.nowMs, untilMs)
        world.server.crash()
        ends(() => world.server.up || world.server.recover())
      },
      broker_down: () => this.#weather(kind, kind, durationMs),
      broker_slow: () => this.#weather(kind, kind, durationMs),
      credentials: () => this.#weather(kind, kind, durationMs),
      topic_missing: () => this.#weather(kind, `missing ${this.#topic(target)}`, durationMs),
      topic_refusing: () => this.#weather(kind, `refusing ${this.#topic(target)}`, durationMs),
      pause_lane: () =>
        this.#pause(kind, world.server.pausedLanes, Math.floor(target * 64), durationMs),
      pause_topic: () =>
        this.#pause(kind, world.server.pausedTopics, this.#topic(target), durationMs),
    }
    strike[kind]()
  }

  #crash(victim: Replica, durationMs: number): void {
    const { world, time } = { world: this.#world, time: this.#world.time }
    world.ledger.trouble('crash', victim.name, time.nowMs, time.nowMs + durationMs)
    victim.kill()
    time.after(durationMs, WORLD, () => {
      if (!world.weather.healed) world.fleet.start()
    })
  }

  #weather(kind: TimedKind, what: string, durationMs: number): void {
    const { weather, ledger, time } = this.#world
    ledger.trouble(kind, null, time.nowMs, time.nowMs + durationMs)
    weather.begin(what)
    time.after(durationMs, WORLD, () => {
      if (!weather.healed) weather.end(what)
    })
  }

  #pause<T>(kind: TimedKind, paused: Set<T>, what: T, durationMs: number): void {
    this.#world.ledger.count(kind)
    paused.add(what)
    this.#world.time.after(durationMs, WORLD, () => paused.delete(what))
  }

  #topic(target: number): string {
    const { topics } = this.#world.plan
    return topics[Math.floor(target * topics.length)]!
  }
}
