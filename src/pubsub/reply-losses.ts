import type { Log } from '../telemetry/log.ts'
import type { AssignedPartition, AssignmentListener } from './frame-source.ts'
import type { OpenRequests } from './open-requests.ts'

/** A group that takes longer to join again has most likely given the partitions away. */
const REJOIN_MS = 3_000

/**
 * Ends the requests whose replies nobody reads here any more. Where the group only deals anew, most partitions come
 * back, and replies wait in them: requests fail once it is known which do not. In a group of its own an instance gets
 * all of them back, whatever happened.
 */
export class ReplyLosses implements AssignmentListener {
  readonly #open: OpenRequests
  readonly #isAlone: boolean
  readonly #log: Log
  #rejoining: NodeJS.Timeout | null = null

  /** @param isAlone the group has no other members */
  constructor(open: OpenRequests, isAlone: boolean, log: Log) {
    this.#open = open
    this.#isAlone = isAlone
    this.#log = log
  }

  assigned(partitions: readonly AssignedPartition[]): void {
    const resumed = new Set(partitions.filter(each => each.resumed).map(each => each.partition))
    this.#lose(partition => !resumed.has(partition))
  }

  revoked(why: 'rebalance' | 'stop' | 'lost'): void {
    if (why === 'stop' || this.#isAlone) return
    if (why === 'lost') this.#lose(() => true)
    else this.#rejoining ??= setTimeout(() => this.#lose(() => true), REJOIN_MS)
  }

  stop(): void {
    if (this.#rejoining !== null) clearTimeout(this.#rejoining)
    this.#rejoining = null
  }

  #lose(isLost: (partition: number) => boolean): void {
    this.stop()
    const requests = this.#open.lose(isLost)
    if (requests > 0)
      this.#log.warn({ requests }, 'requests failed, their reply partition was lost')
  }
}
