import { type Mandate, writeAudit } from './audit.ts'
import type { OutboxAccess, Queries } from './outbox-access.ts'

export type PauseKind = 'lane' | 'topic'

export interface Pause {
  readonly kind: PauseKind
  readonly name: string
  readonly reason: string
  readonly paused_by: string
  readonly paused_at: Date
  readonly paused_for_seconds: number
}

/** What is paused, the longest paused first. */
export async function readPauses(outbox: OutboxAccess): Promise<readonly Pause[]> {
  return [...(await outbox.read('reading the pauses', selectPauses))]
}

function selectPauses(tx: Queries) {
  return tx<Pause[]>`
    select kind, name, reason, paused_by, paused_at, extract(epoch from now() - paused_at)::float8 as paused_for_seconds
    from outbox.pauses order by paused_at, kind, name limit 1000`
}

/** @returns the names that were not paused before; an earlier pause keeps its reason */
export async function pauseAll(
  outbox: OutboxAccess,
  kind: PauseKind,
  names: readonly string[],
  mandate: Mandate & { readonly reason: string },
): Promise<string[]> {
  return outbox.write('pausing', async tx => {
    const rows = await tx<{ name: string }[]>`
      insert into outbox.pauses (kind, name, reason, paused_by)
      select ${kind}, given.name, ${mandate.reason}, ${mandate.actor}
      from jsonb_array_elements_text(${JSON.stringify(names)}::text::jsonb) as given (name)
      on conflict (kind, name) do nothing returning name`
    return recorded(tx, `${kind}.pause`, rows, mandate)
  })
}

/** @returns the names that were paused */
export async function resumeAll(
  outbox: OutboxAccess,
  kind: PauseKind,
  names: readonly string[],
  mandate: Mandate,
): Promise<string[]> {
  return outbox.write('resuming', async tx => {
    const rows = await tx<{ name: string }[]>`
      delete from outbox.pauses p
      using jsonb_array_elements_text(${JSON.stringify(names)}::text::jsonb) as given (name)
      where p.kind = ${kind} and p.name = given.name returning p.name`
    return recorded(tx, `${kind}.resume`, rows, mandate)
  })
}

async function recorded(
  tx: Queries,
  action: string,
  rows: readonly { readonly name: string }[],
  mandate: Mandate,
): Promise<string[]> {
  const names = rows
    .map(({ name }) => name)
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  if (names.length > 0) {
    await writeAudit(tx, mandate, { action, subject: { names }, rows: names.length })
  }
  return names
}
