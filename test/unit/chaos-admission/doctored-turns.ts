import { change, type Doctored, found } from './doctoring.ts'
import { START_MS, type Told } from './story.ts'

/** Each breaks a rule about what was true at a commit. */
export const doctoredTurns: Doctored = [
  [
    'over_capacity',
    'one more than the capacity is active after a grant',
    told => {
      const { xact } = change(told, 's3', 'ACTIVE')
      for (const each of told) {
        if (each.kind === 'room_changed' && each.xact === xact) each.capacity = 1
      }
    },
  ],
  [
    'granted_while_paused',
    'somebody is let into a paused room',
    told => {
      const { xact } = change(told, 's3', 'ACTIVE')
      found(told, 'room_changed', { xact }).paused = true
    },
  ],
  [
    'room_not_held',
    'a session changes without the lock on its room',
    told => {
      change(told, 's2', 'EXPIRED').roomHeld = false
    },
  ],
  [
    'commits_out_of_order',
    'a transaction commits before one with lower numbers',
    told => {
      const { xact } = change(told, 's4', 'ACTIVE')
      for (const each of told) if ('xact' in each && each.xact === xact) each.committedMs -= 5_000
    },
  ],
  [
    'turns_interleaved',
    'two transactions are in a room at the same time',
    told => {
      change(told, 's1', 'LEFT').xact = found(told, 'room_changed', { lastSeq: 5 }).xact
    },
  ],
  [
    'counters_off',
    'a room counts one too few',
    told => {
      found(told, 'room_changed', { granted: 3 }).active = 1
    },
  ],
  [
    'counters_off',
    'a room rests with other counters than the journal tells',
    told => {
      found(told, 'room').freed = 1
    },
  ],
  [
    'wrong_transition',
    'one who has ended is let in',
    told => {
      const again = structuredClone(change(told, 's3', 'ACTIVE'))
      again.sessionId = 's1'
      again.was = 'WAITING'
      again.n += 0.5
      told.push(again as Told)
    },
  ],
  [
    'numbered_twice',
    'a number changes',
    told => {
      const row = change(told, 's4', 'ACTIVE')
      row.seq = 9
    },
  ],
  [
    'number_not_above',
    'a number is given that was given before',
    told => {
      const row = found(told, 'session_changed', { sessionId: 's5', seq: 5 })
      row.seq = 2
    },
  ],
  [
    'granted_unnumbered',
    'one without a number is let in',
    told => {
      for (const each of told) {
        if (each.kind === 'session_changed' && each.sessionId === 's3' && each.was !== null) {
          each.seq = null
          each.seqWas = null
        }
      }
    },
  ],
  [
    'overtaken',
    'the second is let in before the first',
    told => {
      const third = change(told, 's3', 'ACTIVE')
      const fourth = change(told, 's4', 'ACTIVE')
      ;[third.n, fourth.n, third.xact, fourth.xact] = [fourth.n, third.n, fourth.xact, third.xact]
    },
  ],
  [
    'place_left_free',
    'the next is let in seconds after the place was free',
    told => {
      const left = change(told, 's1', 'LEFT')
      for (const each of told) {
        if (each.kind === 'session_changed' && each.xact === left.xact && each !== left) {
          each.xact = 'later'
          each.committedMs += 2_000
        }
        if (each.kind === 'room_changed' && each.xact === left.xact) each.xact = 'later'
      }
      for (const each of told) if ('xact' in each && each.n > left.n) each.committedMs += 2_000
    },
  ],
  [
    'expired_early',
    'a session expires within its lease',
    told => {
      change(told, 's2', 'EXPIRED').leaseUntilMs = START_MS * 2
    },
  ],
  [
    'expired_late',
    'an overdue session keeps its place for seconds',
    told => {
      change(told, 's2', 'EXPIRED').leaseUntilMs = START_MS
    },
  ],
  [
    'lease_cut',
    'a session expires before the time that its visitor was told',
    told => {
      found(told, 'visited', { sessionId: 's2' }).leaseToldMs = START_MS * 2
    },
  ],
  [
    'lease_cut',
    'a session expires within a lease of its last heartbeat',
    told => {
      const row = change(told, 's2', 'EXPIRED')
      found(told, 'visited', { sessionId: 's2' }).lastBeatMs = row.atMs - 900
    },
  ],
  [
    'abandoned_wrongly',
    'one who was seen just now is passed over',
    told => {
      const row = change(told, 's5', 'ABANDONED')
      row.seenMs = row.atMs - 100
    },
  ],
  [
    'abandoned_while_seen',
    'one whose question was answered just now is passed over',
    told => {
      const row = change(told, 's5', 'ABANDONED')
      found(told, 'visited', { sessionId: 's5' }).lastSeenMs = row.atMs - 100
    },
  ],
]
