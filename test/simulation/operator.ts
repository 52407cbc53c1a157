import type { DeadLetter } from './postgres-server.ts'
import { between, type Random, randomStream } from './random.ts'
import { WORLD } from './virtual-time.ts'
import type { World } from './world.ts'

const LOOKS_EVERY_MS = 700

/** Looks at the dead letters now and then: what src/operator/dead-moves.ts does to them. */
export class Operator {
  readonly #world: World
  readonly #random: Random
  readonly #acts: boolean

  constructor(world: World) {
    this.#world = world
    this.#random = randomStream(world.plan.seed, 'operator')
    this.#acts = world.plan.kinds.has('requeue') || world.plan.kinds.has('blocking')
    if (this.#acts) this.#lookLater()
  }

  #lookLater(): void {
    this.#world.time.after(LOOKS_EVERY_MS * between(this.#random, 0.5, 1.5), WORLD, () => {
      this.#look()
      this.#lookLater()
    })
  }

  /** After the faults, whatever holds a key must go: nothing would drain else. */
  #look(): void {
    const { server, weather } = this.#world
    if (!server.up) return
    for (const dead of [...server.deadLetters.values()]) {
      const must = weather.healed && dead.blocksKey
      if (!must && (weather.healed || this.#random() < 0.7)) continue
      if (this.#random() < 0.3) this.#discard(dead)
      else this.#requeue(dead, must)
    }
  }

  #discard(dead: DeadLetter): void {
    const { server, history } = this.#world
    server.exhume(dead)
    dead.row.record.end = 'discarded'
    server.log.flush(server.log.append())
    history.add('operator', `discards ${dead.row.record.plan.eventId}`)
  }

  #requeue(dead: DeadLetter, cures: boolean): void {
    const { server, history } = this.#world
    const { row } = dead
    if (row.expiresMs <= server.nowMs || row.record.plan.topic === '__internal') {
      if (dead.blocksKey) this.#discard(dead)
      return
    }
    server.exhume(dead)
    server.events.insert({ ...row, attempts: 1, notBeforeMs: server.nowMs })
    server.log.flush(server.log.append())
    row.record.end = null
    row.record.requeued = true
    row.record.cured = cures || this.#random() < 0.6
    history.add('operator', `requeues ${row.record.plan.eventId} under ${row.id}`)
  }
}
