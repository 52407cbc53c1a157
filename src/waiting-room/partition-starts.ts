import type { Begun } from '../consumer/delivery-store.ts'
import type { TopicPartition } from '../consumer/record-source.ts'
import type { Database } from '../postgres/database.ts'

/** Where reading of a group's partitions began and what was in work: `waiting_room.starts`. */
export class PartitionStarts {
  readonly #database: Database
  readonly #group: string

  constructor(database: Database, group: string) {
    this.#database = database
    this.#group = group
  }

  /** As `DeliveryStore.began`. What was attempted below the offset has been finished since. */
  async began({ topic, partition }: TopicPartition, offset: bigint): Promise<Begun> {
    const rows = await this.#database.run(
      'noting where reading begins',
      sql => sql<{ starts: number; attempted: string | null; attempted_starts: number }[]>`
        insert into waiting_room.starts as s (group_id, topic, partition, "offset", starts)
        values (${this.#group}, ${topic}, ${partition}, ${String(offset)}::text::bigint, 1)
        on conflict (group_id, topic, partition) do update set
          starts = case when s."offset" = excluded."offset" then s.starts + 1 else 1 end,
          "offset" = excluded."offset",
          attempted = case when s.attempted >= excluded."offset" then s.attempted end,
          attempted_starts = case when s.attempted >= excluded."offset" then s.attempted_starts else 0 end,
          changed_at = now()
        returning starts, attempted::text, attempted_starts`,
    )
    const [row] = rows
    if (!row) throw new Error('waiting_room.starts gave no row')
    const { starts, attempted, attempted_starts } = row
    if (attempted === null) return { starts, attempted: null }
    return { starts, attempted: { offset: BigInt(attempted), starts: attempted_starts } }
  }

  /** As `DeliveryStore.attempting`. */
  async attempting({ topic, partition }: TopicPartition, offset: bigint): Promise<number> {
    const at = String(offset)
    const rows = await this.#database.run(
      'noting which record is attempted',
      sql => sql<{ attempted_starts: number }[]>`
        insert into waiting_room.starts as s
          (group_id, topic, partition, "offset", starts, attempted, attempted_starts)
        values (${this.#group}, ${topic}, ${partition}, ${at}::text::bigint, 1, ${at}::text::bigint, 1)
        on conflict (group_id, topic, partition) do update set
          attempted = excluded.attempted,
          attempted_starts = case when s.attempted = excluded.attempted then s.attempted_starts + 1 else 1 end,
          changed_at = now()
        returning attempted_starts`,
    )
    const [row] = rows
    if (!row) throw new Error('waiting_room.starts gave no row')
    return row.attempted_starts
  }

  /** As `DeliveryStore.ended`. */
  async ended({ topic, partition }: TopicPartition): Promise<void> {
    await this.#database.run(
      'noting that a partition is given up',
      sql => sql`
        update waiting_room.starts set attempted = null, attempted_starts = 0, changed_at = now()
        where group_id = ${this.#group} and topic = ${topic} and partition = ${partition}
          and attempted is not null`,
    )
  }
}
