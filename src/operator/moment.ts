import type { OutboxAccess } from './outbox-access.ts'

/** A point in time as an operator gives it: so long ago, or an instant in ISO 8601 with a zone. */
export type Moment = { readonly agoMs: number } | { readonly at: string }

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$/

/** null when the text is neither `90s`, `30m`, `2h`, `7d` nor an instant such as `2026-03-01T12:00Z`. */
export function parseMoment(text: string): Moment | null {
  const ago = /^(\d{1,6})([smhd])$/.exec(text)
  if (ago) return { agoMs: Number(ago[1]) * UNIT_MS[ago[2] as keyof typeof UNIT_MS] }
  return INSTANT.test(text) && !Number.isNaN(Date.parse(text)) ? { at: text } : null
}

/** The database's clock, as an instant with microseconds. */
export async function databaseNow(outbox: OutboxAccess): Promise<string> {
  const [row] = await outbox.read(
    'reading the clock of the database',
    tx => tx<{ now: string }[]>`
      select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
  )
  return row?.now ?? new Date().toISOString()
}

/** @param now what `databaseNow` gave: "so long ago" is counted by the database's clock */
export function instantOf(moment: Moment, now: string): string {
  return 'at' in moment ? moment.at : new Date(Date.parse(now) - moment.agoMs).toISOString()
}
