import { join } from 'node:path'
import type { ConsumerHistory } from './history.ts'
import { MemberProcess } from './member-process.ts'
import type { MemberSpec } from './member-spec.ts'

export interface CrewOptions {
  readonly spec: Omit<MemberSpec, 'name' | 'logFile'>
  readonly members: number
  readonly folder: string
  readonly history: ConsumerHistory
}

const STOP_DEADLINE_MS = 25_000

/** The members of one group; one that has ended is replaced by `restart`. */
export class Crew {
  readonly group: string
  readonly size: number
  readonly #options: CrewOptions
  readonly #seats: (MemberProcess | null)[]
  readonly logFiles: string[] = []

  constructor(options: CrewOptions) {
    this.#options = options
    this.group = options.spec.group
    this.size = options.members
    this.#seats = Array.from({ length: options.members }, () => null)
  }

  get running(): MemberProcess[] {
    return this.#seats.filter(member => member?.running === true) as MemberProcess[]
  }

  /** Null: nobody sits there. */
  at(seat: number): MemberProcess | null {
    const member = this.#seats[seat % this.size]
    return member?.running ? member : null
  }

  async start(): Promise<void> {
    await Promise.all(this.#seats.map((_, seat) => this.restart(seat).joined()))
  }

  /** Fills a seat with a new member. Whether it is in the group yet, it knows itself. */
  restart(seat: number): MemberProcess {
    const { spec, folder, history } = this.#options
    const name = `${spec.group}-${seat % this.size}-${this.logFiles.length}`
    const logFile = join(folder, `${name}.jsonl`)
    this.logFiles.push(logFile)
    const member = new MemberProcess({ ...spec, name, logFile }, { history })
    this.#seats[seat % this.size] = member
    return member
  }

  /** All sit, run and are in the group. */
  async complete(): Promise<void> {
    await Promise.all(
      this.#seats.map(async (member, seat) => {
        member?.signal('SIGCONT')
        if (!member?.running) await this.restart(seat).joined()
        else await member.ask('join')
      }),
    )
  }

  /** Asks all to end; those that do not are killed. */
  async stop(): Promise<void> {
    await Promise.all(
      this.running.map(async member => {
        member.signal('SIGCONT')
        member.signal('SIGTERM')
        const timer = setTimeout(() => member.signal('SIGKILL'), STOP_DEADLINE_MS)
        await member.ended
        clearTimeout(timer)
      }),
    )
  }

  async kill(): Promise<void> {
    for (const member of this.running) member.signal('SIGKILL')
    await Promise.all(this.running.map(member => member.ended))
  }
}
