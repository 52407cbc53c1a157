import { join } from 'node:path'
import type { HistoryFile } from './history.ts'
import { ReplicaProcess } from './replica-process.ts'

export interface FleetOptions {
  readonly root: string
  readonly replicas: number
  readonly env: NodeJS.ProcessEnv
  readonly logFolder: string
  readonly history: Pick<HistoryFile, 'tell'>
}

const STOP_DEADLINE_MS = 20_000

/** The replicas of a campaign; one that has ended is replaced by `restart`. */
export class Fleet {
  readonly #options: FleetOptions
  readonly #seats: (ReplicaProcess | null)[]
  #starts = 0

  constructor(options: FleetOptions) {
    this.#options = options
    this.#seats = Array.from({ length: options.replicas }, () => null)
  }

  get running(): ReplicaProcess[] {
    return this.#seats.filter(replica => replica?.running === true) as ReplicaProcess[]
  }

  at(seat: number): ReplicaProcess | null {
    const replica = this.#seats[seat]
    return replica?.running ? replica : null
  }

  async start(): Promise<void> {
    await Promise.all(this.#seats.map((_, seat) => this.restart(seat)))
  }

  /** Fills a seat with a new replica and waits until that works; a few attempts, since what it needs may be down. */
  async restart(seat: number): Promise<ReplicaProcess> {
    for (let attempt = 1; ; attempt++) {
      const { root, env, logFolder, history } = this.#options
      const logFile = join(logFolder, `replica-${seat}-${this.#starts++}.log`)
      const replica = new ReplicaProcess({ root, env, logFile, history })
      this.#seats[seat] = replica
      try {
        return await replica.ready()
      } catch (error) {
        replica.signal('SIGKILL')
        await replica.ended
        if (attempt === 3) throw error
      }
    }
  }

  /** Asks all to end; those that do not are killed. */
  async stop(): Promise<void> {
    await Promise.all(this.running.map(replica => this.#stopOne(replica)))
  }

  async #stopOne(replica: ReplicaProcess): Promise<void> {
    replica.signal('SIGCONT')
    replica.signal('SIGTERM')
    const timer = setTimeout(() => replica.signal('SIGKILL'), STOP_DEADLINE_MS)
    await replica.ended
    clearTimeout(timer)
  }
}
