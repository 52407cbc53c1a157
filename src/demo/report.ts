import { passes, type Verdict } from './verdict.ts'

const counter = new Intl.NumberFormat('en-US')

/** 12345 as `12,345`. */
export function count(value: number): string {
  return counter.format(Math.round(value))
}

export interface VerdictNotes {
  /** Events whose transaction rolled back. */
  readonly rolledBack: number
  /** Records of such events. */
  readonly rolledBackInKafka: number
  /** Committed events that are in `outbox.dead_letters`. */
  readonly deadLetters: number
  /** Committed events still in `outbox.events`. */
  readonly waiting: number
}

/** The verdict as aligned lines; the last one says in a sentence whether it passes. */
export function verdictLines(verdict: Verdict, notes: VerdictNotes): string[] {
  const where = [
    notes.waiting > 0 ? `${count(notes.waiting)} still wait in outbox.events` : '',
    notes.deadLetters > 0 ? `${count(notes.deadLetters)} are in outbox.dead_letters` : '',
  ].filter(Boolean)
  const rolledBack =
    `${count(notes.rolledBack)} events were rolled back` +
    (notes.rolledBackInKafka > 0 ? `, ${count(notes.rolledBackInKafka)} of them published` : '')
  const rows: [string, number, string][] = [
    ['committed events', verdict.committed, 'rows of shop.ledger'],
    ['published events', verdict.published, 'of these, found in Kafka'],
    ['lost', verdict.lost, where.join(', ')],
    ['duplicates', verdict.duplicates, 'allowed: consumers dedupe by event_id'],
    ['phantom', verdict.phantom, rolledBack],
    ['order violations', verdict.outOfOrder, 'per topic and key, by first delivery'],
    ['altered', verdict.mutated, 'key, type, headers and value compared'],
  ]
  const width = Math.max(...rows.map(([, value]) => count(value).length))
  return [
    ...rows.map(([name, value, note]) =>
      `  ${name.padEnd(16)}  ${count(value).padStart(width)}  ${note}`.trimEnd(),
    ),
    sentence(verdict),
  ]
}

function sentence(verdict: Verdict): string {
  if (passes(verdict)) {
    const times = verdict.duplicates === 0 ? 'once' : 'at least once'
    return verdict.committed === 0
      ? 'PASS: nothing was committed and nothing is in Kafka'
      : `PASS: every committed event is in Kafka ${times}, in its key's order, and nothing that was rolled back is`
  }
  const faults = [
    verdict.lost > 0 ? `${count(verdict.lost)} lost` : '',
    verdict.phantom > 0 ? `${count(verdict.phantom)} phantom` : '',
    verdict.outOfOrder > 0 ? `${count(verdict.outOfOrder)} out of order` : '',
    verdict.mutated > 0 ? `${count(verdict.mutated)} altered` : '',
  ]
  return `FAIL: ${faults.filter(Boolean).join(', ')}`
}
