import { Replica } from './replica.ts'
import type { World } from './world.ts'

/** The replicas that have been started. */
export class Fleet {
  readonly #world: World
  readonly #replicas: Replica[] = []

  constructor(world: World) {
    this.#world = world
  }

  get running(): readonly Replica[] {
    return this.#replicas.filter(({ state }) => state === 'running')
  }

  get all(): readonly Replica[] {
    return this.#replicas
  }

  start(): Replica {
    const name = `r${this.#replicas.length}`
    const replica = this.#world.time.runAs(name, () => new Replica(this.#world, name))
    this.#replicas.push(replica)
    return replica
  }
}
