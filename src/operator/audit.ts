import { hostname, userInfo } from 'node:os'
import type { Queries } from './outbox-access.ts'

/** Who acts, and why. */
export interface Mandate {
  readonly actor: string
  /** null: none was given, and none is asked for. */
  readonly reason: string | null
}

export interface Deed {
  /** Such as `dead.requeue`, `replay`, `lane.pause`. */
  readonly action: string
  /** What it was done to: the filter as given, ids, numbers; never a payload. */
  readonly subject: Readonly<Record<string, unknown>>
  /** Rows that it changed. */
  readonly rows: number
}

/** Records a deed in the transaction that does it, so that there is neither without the other. */
export async function writeAudit(
  tx: Queries,
  { actor, reason }: Mandate,
  { action, subject, rows }: Deed,
): Promise<void> {
  await tx`
    insert into outbox.audit (actor, action, subject, reason, rows)
    values (${actor}, ${action}, ${JSON.stringify(subject)}::text::jsonb, ${reason}, ${rows})`
}

/** `user@host` of this process. */
export function systemActor(): string {
  return `${userName()}@${hostname()}`
}

/** A container may run under a number that has no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
