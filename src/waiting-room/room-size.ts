import { monotonicMs } from '../internal/monotonic.ts'
import type { Database } from '../postgres/database.ts'
import type { KeyRow } from './delivery-statements.ts'

export interface RoomLimits {
  readonly perKey: number
  readonly perGroup: number
}

/** A million index entries are counted in about a tenth of a second. */
const COUNTED_FOR_MS = 3_000

/** How full a group's waiting room is. */
export class RoomSize {
  readonly #database: Database
  readonly #group: string
  readonly #limits: RoomLimits
  #counted: { readonly full: boolean; readonly atMs: number } | null = null

  constructor(database: Database, group: string, limits: RoomLimits) {
    this.#database = database
    this.#group = group
    this.#limits = limits
  }

  /** Whether the group has as many unfinished tasks as it may; as it was up to three seconds ago. */
  async groupIsFull(): Promise<boolean> {
    const nowMs = monotonicMs()
    if (this.#counted && nowMs - this.#counted.atMs < COUNTED_FOR_MS) return this.#counted.full
    const { perGroup } = this.#limits
    // Index tasks_in_state. No further than the limit, however many there are.
    const [row] = await this.#database.run(
      'counting the tasks of a group',
      sql => sql<{ full: boolean }[]>`
        select count(*) >= ${perGroup}::int8 as full from (
          select from waiting_room.tasks
          where group_id = ${this.#group} and state in ('waiting', 'behind', 'held')
          limit ${perGroup}::int8
        ) as unfinished`,
    )
    const full = row?.full ?? false
    this.#counted = { full, atMs: nowMs }
    return full
  }

  /** Whether one of the keys has as many unfinished tasks as it may. Index: the primary key. */
  async aKeyIsFull(keys: readonly KeyRow[]): Promise<boolean> {
    if (keys.length === 0) return false
    const [row] = await this.#database.run(
      'looking how many records wait behind keys',
      sql => sql<{ full: boolean }[]>`
        select exists (
          select from json_to_recordset(${JSON.stringify(keys)}::text::json) as d (topic text, key text)
          join waiting_room.keys k
            on k.group_id = ${this.#group} and k.topic = d.topic and k.key = decode(d.key, 'hex')
          where k.open >= ${this.#limits.perKey}::int8
        ) as full`,
    )
    return row?.full ?? false
  }
}
