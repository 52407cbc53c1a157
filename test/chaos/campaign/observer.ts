import type postgres from 'postgres'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { Fleet } from './fleet.ts'
import type { HistoryFile, LaneOwners } from './history.ts'
import type { Writers } from './writers.ts'

const LANES_EVERY_MS = 50
const SECOND_MS = 1_000
const ANSWER_MS = 2_000

interface LaneRow {
  readonly lane: number
  readonly owner: string | null
  readonly epoch: string
}

export interface Observed {
  readonly sql: postgres.Sql
  readonly fleet: Fleet
  readonly writers: Writers
  readonly history: HistoryFile
}

/** Looks at the lanes many times a second and at the rest once, until it is stopped. */
export class Observer {
  readonly #observed: Observed
  readonly #stop = new AbortController()
  readonly #loops: Promise<void>[]
  /** Owner and epoch as last told, by lane. */
  readonly #lanes = new Map<number, string>()

  constructor(observed: Observed) {
    this.#observed = observed
    this.#loops = [
      this.#repeat(LANES_EVERY_MS, () => this.#lookAtLanes()),
      this.#repeat(SECOND_MS, () => this.#lookAtSecond()),
    ]
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#loops)
  }

  async #repeat(everyMs: number, look: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await look().catch(() => {})
      await pause(everyMs, this.#stop.signal)
    }
  }

  async #lookAtLanes(): Promise<void> {
    const { sql, history } = this.#observed
    const rows = await answered(sql<LaneRow[]>`
      select lane, owner, epoch::text from outbox.lanes order by lane`)
    const changed: LaneOwners['changed'][number][] = []
    const owners: Record<string, number> = {}
    for (const { lane, owner, epoch } of rows) {
      if (owner !== null) owners[owner] = (owners[owner] ?? 0) + 1
      const state = `${owner} ${epoch}`
      if (this.#lanes.get(lane) === state) continue
      this.#lanes.set(lane, state)
      changed.push([lane, owner, epoch])
    }
    if (changed.length === 0) return
    history.tell({ kind: 'lane_owners', atMs: Date.now(), owners, changed })
  }

  async #lookAtSecond(): Promise<void> {
    const { fleet, writers, history } = this.#observed
    const rssBytes: Record<string, number> = {}
    for (const replica of fleet.running) rssBytes[replica.name] = await replica.rssBytes()
    const { committed, rolledBack, errors: writeErrors } = writers
    const waiting = await countWaiting(this.#observed.sql).catch(() => null)
    const counted = { waiting, committed, rolledBack, writeErrors, rssBytes }
    history.tell({ kind: 'second', atMs: Date.now(), ...counted })
  }
}

/** Events still in the outbox, counted up to ten thousand. */
export async function countWaiting(sql: postgres.Sql, exceptTopic = ''): Promise<number> {
  const rows = await answered(sql<{ waiting: number }[]>`
    select count(*)::int as waiting
    from (select from outbox.events where topic <> ${exceptTopic} limit 10000) e`)
  const [row] = rows
  // postgres.js 3.4.9 leaves holes in the result that follows one which was cut off.
  if (row === undefined) throw new Error('the result has a hole')
  return row.waiting
}

function answered<T>(asked: PromiseLike<T>): Promise<T> {
  return withDeadline(asked, ANSWER_MS, () => new Error('the database does not answer'))
}
