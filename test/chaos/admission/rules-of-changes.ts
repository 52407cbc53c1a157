import type { Findings } from './admission-rules.ts'
import type { CaseFile, Turn } from './case-file.ts'
import type { ChangeRead, SessionChanged, Status } from './history.ts'

const TYPES: Readonly<Record<string, Status>> = {
  'waiting-room.granted': 'ACTIVE',
  'waiting-room.left': 'LEFT',
  'waiting-room.expired': 'EXPIRED',
  'waiting-room.abandoned': 'ABANDONED',
}

interface Transition {
  readonly change: SessionChanged
  /** Which of the room's transactions it belongs to. */
  readonly turn: number
  recordId: string | null
}

/** The topic of the changes tells every change of a status once, those of a room in the order of its commits. */
export function judgeChanges(file: CaseFile, findings: Findings): void {
  const transitions = new Map<string, Transition>()
  for (const turns of file.turns.values()) collect(turns, transitions)
  const records = [...file.history.all('change_record')].sort(
    (a, b) => a.partition - b.partition || a.offset - b.offset,
  )
  const seen = new Set<string>()
  const reached = new Map<string, number>()
  for (const record of records) {
    // What the relay wrote again is known.
    if (seen.has(record.recordId)) continue
    seen.add(record.recordId)
    judgeRecord(record, { transitions, reached }, findings)
  }
  for (const [name, { recordId }] of transitions) {
    if (recordId === null) findings.add('change_lost', name)
  }
}

function collect(turns: readonly Turn[], transitions: Map<string, Transition>): void {
  for (const [turn, { sessions }] of turns.entries()) {
    for (const change of sessions) {
      const { was, status, sessionId } = change
      if (was === status || status === null) continue
      transitions.set(nameOf(sessionId, status), { change, turn, recordId: null })
    }
  }
}

function judgeRecord(
  record: ChangeRead,
  known: { transitions: Map<string, Transition>; reached: Map<string, number> },
  findings: Findings,
): void {
  const { sessionId, status, recordId, eventId, userId, seq, key, type } = record
  const name = nameOf(sessionId, status)
  const transition = known.transitions.get(name)
  if (!transition) {
    findings.add('change_phantom', `${name} in ${record.partition}/${record.offset}`)
    return
  }
  if (transition.recordId !== null) findings.add('change_twice', name)
  transition.recordId = recordId
  const { change, turn } = transition
  const told = [eventId, userId, seq, key, TYPES[type]].join()
  const due = [change.eventId, change.userId, change.seq, change.eventId, change.status].join()
  if (told !== due) findings.add('change_altered', `${name}: ${told}, not ${due}`)
  const before = known.reached.get(eventId) ?? -1
  if (turn < before) findings.add('change_out_of_order', `${name} behind later ones`)
  known.reached.set(eventId, Math.max(before, turn))
}

function nameOf(sessionId: string, status: string): string {
  return `${sessionId} ${status}`
}
