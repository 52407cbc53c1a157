import type { Sql } from '../src/demo/shop-schema.ts'

/** What handlers of the bench write: who was handled, in the order of `n`. */
export async function createEffects(sql: Sql): Promise<void> {
  await sql`
    create table effects (
      n bigint generated always as identity, run text not null, event_id text not null, key text not null,
      seq integer not null
    )`
}

/** Effects of a run as three arrays, as `unnest` takes them. */
export interface Effects {
  readonly ids: string[]
  readonly keys: string[]
  readonly seqs: number[]
}

/** @throws when not every event has one effect, or those of a key are out of order */
export async function judgeEffects(sql: Sql, run: string, events: number): Promise<void> {
  const [found] = await sql<{ rows: number; ids: number; swapped: number }[]>`
    select count(*)::int as rows, count(distinct event_id)::int as ids,
      count(*) filter (where seq < before)::int as swapped
    from (
      select event_id, seq, lag(seq) over (partition by key order by n) as before
      from effects where run = ${run}
    ) in_order`
  if (found?.rows === events && found.ids === events && found.swapped === 0) return
  throw new Error(`${run}: ${events} events, and these effects: ${JSON.stringify(found)}`)
}
