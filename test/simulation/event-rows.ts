import { LANES } from './lane-rows.ts'
import type { EventRecord } from './ledger.ts'

/** A visible row of `outbox.events`. */
export interface EventRow {
  readonly id: number
  readonly lane: number
  readonly record: EventRecord
  readonly createdMs: number
  readonly expiresMs: number
  readonly bytes: number
  attempts: number
  notBeforeMs: number
  /** Behind the commit record of its writer. */
  readonly committedAt: number
}

/** The visible rows, by lane in the order of ids. */
export class EventRows {
  readonly #lanes: EventRow[][] = Array.from({ length: LANES }, () => [])
  /** Rows with a refusal behind them. */
  readonly retrying = new Set<EventRow>()
  size = 0

  insert(row: EventRow): void {
    const rows = this.#lanes[row.lane]!
    const at = placeOf(rows, row.id)
    if (rows[at]?.id === row.id) throw new Error(`there is an event ${row.id} already`)
    rows.splice(at, 0, row)
    this.size++
    if (row.attempts > 0) this.retrying.add(row)
  }

  find(lane: number, id: number): EventRow | undefined {
    const rows = this.#lanes[lane]!
    const row = rows[placeOf(rows, id)]
    return row?.id === id ? row : undefined
  }

  remove(row: EventRow): void {
    const rows = this.#lanes[row.lane]!
    rows.splice(placeOf(rows, row.id), 1)
    this.retrying.delete(row)
    this.size--
  }

  spendAttempt(row: EventRow, notBeforeMs: number): void {
    row.attempts++
    row.notBeforeMs = notBeforeMs
    this.retrying.add(row)
  }

  *from(lane: number, fromId: number): Generator<EventRow> {
    const rows = this.#lanes[lane]!
    for (let at = placeOf(rows, fromId); at < rows.length; at++) yield rows[at]!
  }

  all(): EventRow[] {
    return this.#lanes.flat()
  }
}

/** Where the id stands or would stand. */
function placeOf(rows: readonly EventRow[], id: number): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (rows[middle]!.id < id) low = middle + 1
    else high = middle
  }
  return low
}
