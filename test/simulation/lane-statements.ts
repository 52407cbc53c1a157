import type { LaneLease } from '../../src/outbox/adapter.ts'
import type { HeldLease, LaneStore, Survey } from '../../src/outbox/lane-store.ts'
import type { Connection } from './connection.ts'
import type { LaneRow } from './lane-rows.ts'
import type { World } from './world.ts'

/** What the statements of src/outbox/lane-table.ts do. */
export class LaneStatements implements LaneStore {
  readonly #world: World
  readonly #replica: string
  readonly #connection: Connection
  /** Told of each look round once its answer is here. */
  readonly #onSurvey: (survey: Survey) => void

  constructor(
    world: World,
    replica: string,
    connection: Connection,
    onSurvey: (survey: Survey) => void,
  ) {
    this.#world = world
    this.#replica = replica
    this.#connection = connection
    this.#onSurvey = onSurvey
  }

  async renew(leaseMs: number): Promise<readonly HeldLease[]> {
    const { server } = this.#world
    return this.#connection.run('renew', async transaction => {
      const mine: [LaneRow, number][] = []
      for (const row of server.lanes.filter(({ owner }) => owner === this.#replica)) {
        await transaction.lock(row, 'update')
        // As soon as a row is locked it is updated, while the next may have to be waited for.
        if (row.owner === this.#replica) mine.push([row, server.nowMs + leaseMs])
      }
      const aliveUntilMs = server.nowMs + leaseMs
      return () => {
        server.replicas.set(this.#replica, aliveUntilMs)
        for (const [row, untilMs] of mine) row.leasedUntilMs = untilMs
        return mine.map(([row]) => leaseOf(row))
      }
    })
  }

  async survey(): Promise<Survey> {
    const { server } = this.#world
    const survey = await this.#connection.run<Survey>('survey', async () => {
      const nowMs = server.nowMs
      const alive = [...server.replicas]
        .filter(([replica, untilMs]) => untilMs > nowMs || replica === this.#replica)
        .map(([replica]) => replica)
      const open = alive
        .filter(replica => replica !== this.#replica)
        .flatMap(replica => [...(server.breakers.get(replica) ?? [])])
      const found = {
        live: alive.length,
        free: server.lanes.filter(row => this.#isFree(row)).length,
        pausedLanes: [...server.pausedLanes],
        pausedTopics: [...server.pausedTopics],
        breakersElsewhere: [...new Set(open)],
      }
      return () => found
    })
    this.#onSurvey(survey)
    return survey
  }

  async acquire(count: number, leaseMs: number): Promise<readonly HeldLease[]> {
    const { server, history } = this.#world
    return this.#connection.run('acquire', async transaction => {
      const free: [LaneRow, number][] = []
      for (const row of server.lanes) {
        if (free.length === count) break
        if (!this.#isFree(row) || !transaction.canLock(row, 'update')) continue
        await transaction.lock(row, 'update')
        free.push([row, server.nowMs + leaseMs])
      }
      return () => {
        for (const [row, untilMs] of free) {
          row.owner = this.#replica
          row.epoch++
          row.leasedUntilMs = untilMs
        }
        const rows = free.map(([row]) => row)
        if (rows.length > 0) {
          history.add('database', `${this.#replica} owns ${rows.map(nameOf).join(' ')}`)
        }
        return rows.map(leaseOf)
      }
    })
  }

  async giveUp(leases: readonly LaneLease[]): Promise<void> {
    const { server, history } = this.#world
    await this.#connection.run('giveUp', async transaction => {
      const isMine = (row: LaneRow) =>
        row.owner === this.#replica &&
        leases.some(({ lane, epoch }) => lane === row.lane && epoch === String(row.epoch))
      const mine: LaneRow[] = []
      for (const row of server.lanes.filter(isMine)) {
        await transaction.lock(row, 'update')
        if (isMine(row)) mine.push(row)
      }
      return () => {
        for (const row of mine) {
          row.owner = null
          row.leasedUntilMs = Number.NEGATIVE_INFINITY
        }
        history.add('database', `${this.#replica} gives up ${mine.map(nameOf).join(' ')}`)
      }
    })
  }

  async forgetReplica(): Promise<void> {
    const { server } = this.#world
    await this.#connection.run('forgetReplica', async () => () => {
      server.replicas.delete(this.#replica)
    })
  }

  #isFree({ owner, leasedUntilMs }: LaneRow): boolean {
    const run = leasedUntilMs < this.#world.server.nowMs && owner !== this.#replica
    return owner === null || run
  }
}

function leaseOf({ lane, epoch, lowWater }: LaneRow): HeldLease {
  return { lane, epoch: String(epoch), lowWater }
}

function nameOf({ lane, epoch }: LaneRow): string {
  return `${lane}/${epoch}`
}
