import { join } from 'node:path'
import { freePorts } from '../../../src/embedded/free-port.ts'
import { DoorProcess } from './door-process.ts'
import type { AdmissionHistory } from './history.ts'

export interface DoorsOptions {
  readonly root: string
  readonly env: NodeJS.ProcessEnv
  readonly folder: string
  readonly history: AdmissionHistory
}

const STARTS_MAX = 4
const STOP_DEADLINE_MS = 25_000

/** The processes of admission, each on an address that stays; one that has ended is replaced by `restart`. */
export class Doors {
  readonly addresses: readonly string[]
  readonly #options: DoorsOptions
  readonly #seats: (DoorProcess | null)[]
  #starts = 0

  private constructor(options: DoorsOptions, ports: readonly number[]) {
    this.#options = options
    this.addresses = ports.map(port => `http://127.0.0.1:${port}`)
    this.#seats = ports.map(() => null)
  }

  static async prepare(options: DoorsOptions, count: number): Promise<Doors> {
    return new Doors(options, await freePorts(count))
  }

  get running(): DoorProcess[] {
    return this.#seats.filter(door => door?.running === true) as DoorProcess[]
  }

  /** Null: nobody serves there, or it stands still. */
  at(which: number): { readonly seat: number; readonly door: DoorProcess } | null {
    const seat = which % this.#seats.length
    const door = this.#seats[seat]
    return door?.running && !door.frozen ? { seat, door } : null
  }

  async start(): Promise<void> {
    await Promise.all(this.#seats.map((_, seat) => this.restart(seat)))
  }

  /** Fills a seat and waits until it serves; a few attempts, since what it needs may be down. */
  async restart(seat: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { root, env, folder, history } = this.#options
      const address = this.addresses[seat] as string
      const name = `door-${seat}-${this.#starts++}`
      const door = new DoorProcess({
        ...{ root, address, name, history, logFile: join(folder, `${name}.log`) },
        env: { ...env, SLUICE_ADMISSION_HTTP: new URL(address).host },
      })
      this.#seats[seat] = door
      try {
        await door.serves()
        return
      } catch (error) {
        door.signal('SIGKILL')
        await door.ended
        if (attempt === STARTS_MAX) throw error
      }
    }
  }

  /** All seats are taken by somebody who serves. */
  async complete(): Promise<void> {
    for (const [seat, door] of this.#seats.entries()) {
      door?.signal('SIGCONT')
      if (!door?.running) await this.restart(seat)
    }
  }

  /** Asks all to end; those that do not are killed. */
  async stop(): Promise<void> {
    await Promise.all(
      this.running.map(async door => {
        door.signal('SIGCONT')
        door.signal('SIGTERM')
        const timer = setTimeout(() => door.signal('SIGKILL'), STOP_DEADLINE_MS)
        await door.ended
        clearTimeout(timer)
      }),
    )
  }

  async kill(): Promise<void> {
    for (const door of this.running) door.signal('SIGKILL')
    await Promise.all(this.running.map(door => door.ended))
  }
}
