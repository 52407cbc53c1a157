import { join } from 'node:path'
import type { PubsubHistory } from './history.ts'
import { PartyProcess } from './party-process.ts'
import type { PartySpec } from './party-spec.ts'

export interface TroupeOptions {
  /** One for each seat. */
  readonly seats: readonly Omit<PartySpec, 'name' | 'logFile'>[]
  readonly folder: string
  readonly history: PubsubHistory
}

const STOP_DEADLINE_MS = 25_000

/** The requesters or the workers; one that has ended is replaced by `restart`. */
export class Troupe {
  readonly #options: TroupeOptions
  readonly #parties: (PartyProcess | null)[]
  readonly logFiles: string[] = []

  constructor(options: TroupeOptions) {
    this.#options = options
    this.#parties = options.seats.map(() => null)
  }

  get size(): number {
    return this.#options.seats.length
  }

  get running(): PartyProcess[] {
    return this.#parties.filter(party => party?.running === true) as PartyProcess[]
  }

  /** Null: nobody sits there. */
  at(seat: number): PartyProcess | null {
    const party = this.#parties[seat % this.size]
    return party?.running ? party : null
  }

  /** One after the other, so that each joins undisturbed. */
  async start(): Promise<void> {
    for (let seat = 0; seat < this.size; seat++) await this.restart(seat).joined()
  }

  /** Fills a seat with a new party. Whether it is connected yet, it knows itself. */
  restart(given: number): PartyProcess {
    const { seats, folder, history } = this.#options
    const seat = given % this.size
    const spec = seats[seat] as Omit<PartySpec, 'name' | 'logFile'>
    const kind = spec.role === 'requester' ? `requester-${spec.replies}` : 'worker'
    const name = `${kind}-${seat}-${this.logFiles.length}`
    const logFile = join(folder, `${name}.jsonl`)
    this.logFiles.push(logFile)
    const party = new PartyProcess({ ...spec, name, logFile }, { history })
    this.#parties[seat] = party
    return party
  }

  /** All sit, run and are connected. */
  async complete(): Promise<void> {
    await Promise.all(
      this.#parties.map(async (party, seat) => {
        party?.signal('SIGCONT')
        if (!party?.running) await this.restart(seat).joined()
        else await party.ask('join')
      }),
    )
  }

  /** Asks all to end; those that do not are killed. */
  async stop(): Promise<void> {
    await Promise.all(
      this.running.map(async party => {
        party.signal('SIGCONT')
        party.signal('SIGTERM')
        const timer = setTimeout(() => party.signal('SIGKILL'), STOP_DEADLINE_MS)
        await party.ended
        clearTimeout(timer)
      }),
    )
  }

  async kill(): Promise<void> {
    for (const party of this.running) party.signal('SIGKILL')
    await Promise.all(this.running.map(party => party.ended))
  }
}
