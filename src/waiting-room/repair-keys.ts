import type { Tx } from '../consumer/tx.ts'
import { type KeyName, type KeyScope, lockKeys, settleKeys } from './settle-keys.ts'

/** Keys looked at by one transaction. */
export const KEYS_PAGE = 500

/** Where the next page begins: behind this key. */
export interface KeyCursor extends KeyName {}

export const FIRST_KEY: KeyCursor = { topic: '', key: '' }

export interface RepairedPage {
  /** Keys that were broken: none may run or be held though some wait, or their number was wrong. */
  readonly repaired: number
  /** Null: there are no more. */
  readonly next: KeyCursor | null
}

interface KeyState extends KeyName {
  readonly broken: boolean
  /** Nothing waits, and no hold is on it any more. */
  readonly spare: boolean
}

/**
 * Looks at a page of a group's keys. Whoever changes a key does it in one transaction, and one statement sees what one
 * moment has committed, so what looks broken is broken; it is looked at again under the key's lock all the same.
 */
export async function repairKeys(tx: Tx, scope: KeyScope, after: KeyCursor): Promise<RepairedPage> {
  const page = await tx<KeyState[]>`
    select k.topic, encode(k.key, 'hex') as key, ${brokenKey(tx)} as broken, ${spareKey(tx)} as spare
    from (
      select * from waiting_room.keys
      where group_id = ${scope.group} and (topic, key) > (${after.topic}, decode(${after.key}, 'hex'))
      order by topic, key
      limit ${KEYS_PAGE}::int
    ) k
    cross join lateral (${openTasks(tx)}) c`
  const last = page.length === KEYS_PAGE ? page.at(-1) : undefined
  const next = last ? { topic: last.topic, key: last.key } : null
  const wanted = page.filter(({ broken, spare }) => broken || spare)
  if (wanted.length === 0) return { repaired: 0, next }
  await lockKeys(tx, scope.group, wanted)
  const [locked] = await tx<{ broken: number }[]>`
    select count(*) filter (where ${brokenKey(tx)})::int as broken
    from jsonb_to_recordset(${JSON.stringify(wanted)}::text::jsonb) as g (topic text, key text)
    join waiting_room.keys k
      on k.group_id = ${scope.group} and k.topic = g.topic and k.key = decode(g.key, 'hex')
    cross join lateral (${openTasks(tx)}) c`
  await settleKeys(tx, scope, wanted)
  return { repaired: locked?.broken ?? 0, next }
}

/** Index tasks_of_key. */
function openTasks(tx: Tx) {
  return tx`
    select count(*) as open, coalesce(bool_or(t.state in ('waiting', 'held')), false) as has_head
    from waiting_room.tasks t
    where t.group_id = k.group_id and t.topic = k.topic and t.key = k.key
      and t.ordered and t.state in ('waiting', 'behind', 'held')`
}

function brokenKey(tx: Tx) {
  return tx`(k.open <> c.open or (c.open > 0 and not c.has_head))`
}

function spareKey(tx: Tx) {
  return tx`(k.open = 0 and (k.held_until > now()) is not true)`
}
