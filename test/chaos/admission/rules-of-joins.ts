import type { Findings } from './admission-rules.ts'
import { type CaseFile, grouped } from './case-file.ts'
import type { JoinRead, SessionChanged } from './history.ts'

/** Joins: each once in the log, numbered in its order, one open session of a user at a time, none lost. */
export function judgeJoins(file: CaseFile, findings: Findings): void {
  const records = file.history.all('join_record')
  judgeAccepted(file, findings)
  judgeRecords(file, records, findings)
  for (const [eventId, own] of grouped(records, ({ eventId: name }) => name)) {
    judgeOrder(file, { eventId, own }, findings)
  }
  judgeOpenSessions(file, findings)
}

/** Every 202 has its session, of that user in that room. */
function judgeAccepted(file: CaseFile, findings: Findings): void {
  for (const { sessionId, eventId, userId } of file.history.all('accepted')) {
    const session = file.sessions.get(sessionId)
    const same = session?.eventId === eventId && session.userId === userId
    if (!same) findings.add('lost_join', `${sessionId} of ${userId} in ${eventId}`)
  }
  const made = new Set(file.made.map(({ sessionId }) => sessionId))
  for (const { sessionId } of file.sessions.values()) {
    if (!made.has(sessionId)) findings.add('journal_incomplete', `${sessionId} was never made`)
  }
  for (const { sessionId } of file.made) {
    if (!file.sessions.has(sessionId)) findings.add('lost_join', `${sessionId} is gone`)
  }
}

/** Every session has one record; the relay may have written it more than once, with the same id. */
function judgeRecords(file: CaseFile, records: readonly JoinRead[], findings: Findings): void {
  const ids = new Map<string, string>()
  for (const record of records) {
    const { sessionId, recordId, eventId, userId, key } = record
    const session = file.sessions.get(sessionId)
    if (!session) {
      findings.add('phantom_record', `${sessionId} in ${placeOf(record)}`)
      continue
    }
    const known = ids.get(sessionId)
    if (known !== undefined && known !== recordId) findings.add('published_twice', sessionId)
    ids.set(sessionId, recordId)
    if (session.eventId !== eventId || session.userId !== userId || key !== eventId) {
      findings.add('altered_record', `${sessionId} in ${placeOf(record)}`)
    }
  }
  for (const sessionId of file.sessions.keys()) {
    if (!ids.has(sessionId)) findings.add('not_published', sessionId)
  }
}

/** Numbers are in the order of the log, by each join's first record there. */
function judgeOrder(
  file: CaseFile,
  { eventId, own }: { eventId: string; own: readonly JoinRead[] },
  findings: Findings,
): void {
  const partitions = new Set(own.map(({ partition }) => partition))
  if (partitions.size > 1) {
    findings.add('wrong_partition', `${eventId} is in ${[...partitions].join(' and ')}`)
  }
  const first = new Map<string, JoinRead>()
  for (const record of [...own].sort((a, b) => a.offset - b.offset)) {
    if (!first.has(record.sessionId)) first.set(record.sessionId, record)
  }
  let last = 0
  for (const [sessionId, record] of first) {
    const { seq = null, logPartition, logOffset } = file.sessions.get(sessionId) ?? {}
    if (seq === null) continue
    if (seq <= last) {
      findings.add('out_of_log_order', `${sessionId} has ${seq} behind ${last}, ${placeOf(record)}`)
    }
    last = Math.max(last, seq)
    if (logPartition !== record.partition || logOffset !== record.offset) {
      const kept = `${logPartition}/${logOffset}`
      findings.add('wrong_log_place', `${sessionId} is in ${placeOf(record)}, not in ${kept}`)
    }
  }
}

/** A user's next session in a room is made after the end of the one before. */
function judgeOpenSessions(file: CaseFile, findings: Findings): void {
  const ends = new Map<string, number>()
  for (const turns of file.turns.values()) {
    for (const { sessions } of turns) {
      for (const change of sessions) if (endsIt(change)) ends.set(change.sessionId, change.n)
    }
  }
  const users = grouped(file.made, ({ eventId, userId }) => JSON.stringify([eventId, userId]))
  for (const [user, made] of users) {
    const ordered = made.sort((a, b) => a.n - b.n)
    for (const [index, { n, sessionId }] of ordered.entries()) {
      const before = ordered[index - 1]
      if (!before) continue
      const endedAt = ends.get(before.sessionId) ?? Number.POSITIVE_INFINITY
      if (endedAt > n) findings.add('two_open_sessions', `${user}: ${sessionId}`)
    }
  }
}

function endsIt({ was, status }: SessionChanged): boolean {
  return was !== status && status !== 'WAITING' && status !== 'ACTIVE'
}

function placeOf({ partition, offset }: JoinRead): string {
  return `${partition}/${offset}`
}
