import { type DeadFilter, type DeadList, listDeadLetters } from '../operator/dead-letters.ts'
import type { OutboxAccess } from '../operator/outbox-access.ts'
import { deadRows, printCounts } from './dead-text.ts'
import { align, counted, plain } from './table.ts'

/** What a change of dead letters is about to touch. */
export interface DeadPlan extends DeadList {
  readonly matching: number
  readonly expired: number
  /** Ids that were given and are no dead letters. */
  readonly not_found: readonly string[]
}

const FIRST_ROWS = 5
const IDS_MAX = 1_000

export async function planFor(outbox: OutboxAccess, filter: DeadFilter): Promise<DeadPlan> {
  const limit = filter.ids ? IDS_MAX : FIRST_ROWS
  const { rows, counts, capped } = await listDeadLetters(outbox, filter, limit)
  const known = new Set(rows.flatMap(({ id, event_id }) => [id, event_id]))
  return {
    matching: counts?.reduce((sum, { events }) => sum + events, 0) ?? rows.length,
    expired: counts?.reduce((sum, { expired }) => sum + expired, 0) ?? 0,
    not_found: filter.ids?.filter(id => !known.has(id)) ?? [],
    counts,
    capped: capped || counts === null,
    rows: rows.slice(0, FIRST_ROWS),
  }
}

/** @param verb such as `requeue` */
export function printPlan(verb: string, plan: DeadPlan): string {
  const lines: string[] = []
  if (plan.matching > 0) {
    const more = plan.capped ? 'at least ' : ''
    lines.push(
      `Would ${verb} ${more}${counted(plan.matching, 'dead letter')}:`,
      plan.counts ? printCounts(plan.counts, plan.capped) : '',
      `\nThe newest of them:\n${align(deadRows(plan.rows))}\n`,
    )
  } else {
    lines.push('No dead letter matches.')
  }
  return `${[...lines, notFound(plan.not_found)].filter(Boolean).join('\n')}\n`
}

export function notFound(ids: readonly string[]): string {
  return ids.length === 0 ? '' : plain(`Not among the dead letters: ${ids.join(', ')}`)
}
