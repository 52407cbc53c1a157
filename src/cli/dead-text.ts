import type { DeadCount, DeadDetail, DeadLetterRow, DeadList } from '../operator/dead-letters.ts'
import { PAYLOAD_SHOWN_MAX } from '../operator/dead-letters.ts'
import type { LaterEvents } from '../operator/key-order.ts'
import { align, counted, cut, duration, plain, plainLines } from './table.ts'

const KEYS_SHOWN = 10

export function printDeadList({ counts, capped, rows }: DeadList): string {
  if (rows.length === 0) return 'No dead letters.\n'
  const total = counts?.reduce((sum, { events }) => sum + events, 0) ?? 0
  const blocks = [
    counts === null ? 'Counting took too long.' : printCounts(counts, capped),
    align(deadRows(rows)),
    rows.length < total || capped ? `The newest ${rows.length}; --limit shows more.` : '',
  ]
  return `${blocks.filter(Boolean).join('\n\n')}\n`
}

/** How many by reason and topic. */
export function printCounts(counts: readonly DeadCount[], capped: boolean): string {
  return align([
    ['EVENTS', 'REASON', 'TOPIC'],
    ...counts.map(({ events, reason, topic }) => [
      `${events.toLocaleString('en')}${capped ? '+' : ''}`,
      reason,
      topic,
    ]),
  ])
}

/** A header and a row each. */
export function deadRows(rows: readonly DeadLetterRow[]): string[][] {
  return [
    ['ID', 'DEAD FOR', 'TOPIC', 'KEY', 'TYPE', 'TRIES', 'HOLDS KEY', 'REASON', 'ERROR'],
    ...rows.map(row => [
      row.id,
      duration(row.dead_for_seconds),
      cut(row.topic, 40),
      row.key === null ? '-' : cut(JSON.stringify(row.key), 30),
      cut(row.event_type, 30),
      String(row.attempts),
      row.blocks_key ? 'yes' : 'no',
      row.reason,
      cut(row.error, 80),
    ]),
  ]
}

export function printDeadDetail(dead: DeadDetail): string {
  const lines = [
    ['id', dead.id],
    ['event_id', dead.event_id],
    ['topic', dead.topic],
    ['key', dead.key === null ? '- (no order)' : JSON.stringify(dead.key)],
    ['type', dead.event_type],
    ['lane', String(dead.lane)],
    ['created', dead.created_at.toISOString()],
    ['died', `${dead.dead_at.toISOString()}, ${duration(dead.dead_for_seconds)} ago`],
    ['not before', dead.not_before?.toISOString() ?? '-'],
    ['expires', `${dead.expires_at?.toISOString() ?? '-'}${dead.expired ? ' (has passed)' : ''}`],
    ['attempts', String(dead.attempts)],
    ['holds its key', dead.blocks_key ? 'yes: later events of it wait' : 'no'],
    ['reason', dead.reason],
    ['error', dead.error],
    ['payload', `${dead.payload_kind}, ${counted(dead.payload_bytes, 'byte')}`],
    ...Object.entries(dead.headers).map(([name, value]) => [`header ${name}`, String(value)]),
  ]
  return `${align(lines)}\n${printHistory(dead.history)}${printPayload(dead)}`
}

interface Refusal {
  readonly at?: unknown
  readonly attempt?: unknown
  readonly reason?: unknown
  readonly error?: unknown
}

function printHistory(history: unknown): string {
  if (!Array.isArray(history) || history.length === 0) return ''
  const rows = (history as Refusal[]).map(({ at, attempt, reason, error }) =>
    [at, attempt, reason, error].map(value => String(value ?? '-')),
  )
  return `\n${align([['REFUSED AT', 'TRY', 'REASON', 'ERROR'], ...rows])}\n`
}

function printPayload({ payload, payload_kind: kind, payload_bytes: bytes }: DeadDetail): string {
  if (payload === null) return ''
  const more = bytes > PAYLOAD_SHOWN_MAX ? `\n… ${counted(bytes, 'byte')} in all` : ''
  const form = kind === 'bytes' ? 'payload, base64' : 'payload'
  return `\n${form}:\n${plainLines(payload)}${more}\n`
}

/** What requeueing would mean for the order of keys; '' when there is nothing to say. */
export function printLater(later: LaterEvents): string {
  const held = later.keys.filter(({ held }) => held)
  const loose = later.keys.filter(key => !key.held)
  const overtaken = loose.filter(({ published }) => published !== 0 && published !== null)
  const lines: string[] = []
  if (overtaken.length > 0) {
    lines.push(
      `WARNING: the order of ${counted(overtaken.length, 'key')} breaks: later events have been published`,
      ...keyLines(overtaken, ({ published }) => counted(published ?? 0, 'later event')),
    )
  }
  const waiting = loose.filter(({ waiting }) => waiting > 0)
  if (waiting.length > 0) {
    lines.push(
      `WARNING: later events of ${counted(waiting.length, 'key')} wait, and may be published first:`,
      ...keyLines(waiting, key => `${counted(key.waiting, 'event')} waiting`),
    )
  }
  if (held.length > 0) {
    lines.push(
      `The order of ${counted(held.length, 'key')} is kept: their later events wait for it.`,
    )
  }
  if (later.history === 'none') {
    lines.push('Whether later events have been published is not known: no history is kept.')
  }
  if (later.history === 'slow') {
    lines.push('Whether later events have been published is not known: looking took too long.')
  }
  if (!later.waiting_known) lines.push('Whether later events wait is not known.')
  return lines.map(line => `${line}\n`).join('')
}

type Keys = LaterEvents['keys']

function keyLines(keys: Keys, what: (key: Keys[number]) => string): string[] {
  const shown = keys
    .slice(0, KEYS_SHOWN)
    .map(key => plain(`  ${key.topic} ${cut(JSON.stringify(key.key), 60)}: ${what(key)}`))
  const rest = keys.length - shown.length
  return rest > 0 ? [...shown, `  and ${counted(rest, 'more key', 'more keys')}`] : shown
}
