import type { Findings } from './admission-rules.ts'
import type { CaseFile } from './case-file.ts'
import type { HappeningOf, SessionLeft } from './history.ts'

/** What is at rest: everybody's stay has ended as they were told, and processes ended as they were asked. */
export function judgeEnds(file: CaseFile, findings: Findings): void {
  for (const session of file.sessions.values()) judgeSession(file, session, findings)
  judgeRooms(file, findings)
  const [rested] = file.history.all('rested')
  if (!rested?.drained) findings.add('stuck', rested?.left ?? 'the campaign did not come to rest')
  for (const { door, asked, how } of file.history.all('door_exited')) {
    const fine = asked === 'SIGKILL' ? how === 'SIGKILL' || how === 0 : asked !== null && how === 0
    if (!fine) findings.add('bad_exit', `${door} ended with ${how}, asked by ${asked}`)
  }
  for (const { records, differences } of file.history.all('replayed')) {
    for (const difference of differences) findings.add('replay_changed', difference)
    if (records === 0) findings.add('replay_changed', 'no record was read again')
  }
}

function judgeSession(file: CaseFile, session: SessionLeft, findings: Findings): void {
  const { sessionId, status, seq } = session
  const about = `${sessionId} is ${status}`
  if (status === 'WAITING' || status === 'ACTIVE') findings.add('not_ended', about)
  // Who left, or was given up, before the join came through the log needs no number.
  const needsNumber = status === 'WAITING' || status === 'ACTIVE' || status === 'EXPIRED'
  if (needsNumber && seq === null) findings.add('not_numbered', about)
  const visit = file.visits.get(sessionId)
  if (visit) judgeVisit(session, visit, findings)
  else if (status === 'LEFT') findings.add('wrong_end', `${about}, nobody asked for it`)
}

function judgeVisit(
  { sessionId, status }: SessionLeft,
  visit: HappeningOf<'visited'>,
  findings: Findings,
): void {
  const { askedToLeave, leftAs, contradiction, unknown } = visit
  if (status === 'LEFT' && !askedToLeave) {
    findings.add('wrong_end', `${sessionId} is LEFT, nobody asked for it`)
  }
  // A lost answer leaves open whether the first or the second request ended it; the end itself does not change.
  if (leftAs !== null && leftAs !== status) {
    findings.add('wrong_end', `${sessionId} is ${status}, its leave was answered ${leftAs}`)
  }
  if (contradiction !== null) findings.add('contradicted', `${sessionId}: ${contradiction}`)
  if (unknown) findings.add('lost_join', `${sessionId}: a visitor was told that it is unknown`)
}

/** The counters at rest are those of the last transaction of each room: nothing was changed past the journal. */
function judgeRooms(file: CaseFile, findings: Findings): void {
  for (const { eventId, active, granted, freed, lastSeq } of file.history.all('room')) {
    const last = file.turns.get(eventId)?.findLast(({ room }) => room !== null)?.room
    const journaled = [last?.active, last?.granted, last?.freed, last?.lastSeq].join()
    const kept = [active, granted, freed, lastSeq].join()
    if (kept !== journaled) findings.add('counters_off', `${eventId} rests with ${kept}`)
    const sessions = [...file.sessions.values()].filter(each => each.eventId === eventId)
    const left = sessions.filter(({ status }) => status === 'ACTIVE').length
    if (left !== active) findings.add('counters_off', `${eventId} counts ${active} of ${left}`)
  }
  judgeJournal(file, findings)
}

/** A session's last row in the journal is what the table holds. */
function judgeJournal(file: CaseFile, findings: Findings): void {
  const last = new Map(file.made.map(row => [row.sessionId, row]))
  for (const turns of file.turns.values()) {
    for (const { sessions } of turns) for (const row of sessions) last.set(row.sessionId, row)
  }
  for (const { sessionId, status, seq } of file.sessions.values()) {
    const row = last.get(sessionId)
    if (row && (row.status !== status || row.seq !== seq)) {
      findings.add('journal_incomplete', `${sessionId} is ${status} ${seq}, last ${row.status}`)
    }
  }
}
