import { type Doctored, found, without } from './doctoring.ts'
import { EVENT, START_MS, type Told } from './story.ts'

/** Each breaks a rule about the joins, the topics, or what is at rest. */
export const doctoredEnds: Doctored = [
  [
    'two_open_sessions',
    'a user joins again before the end',
    told => {
      found(told, 'session_changed', { sessionId: 's5', was: null }).n = 0
    },
  ],
  [
    'out_of_log_order',
    'numbers do not follow the log',
    told => {
      const third = found(told, 'join_record', { sessionId: 's3' })
      const second = found(told, 'join_record', { sessionId: 's2' })
      ;[third.offset, second.offset] = [second.offset, third.offset]
    },
  ],
  [
    'wrong_log_place',
    'a session keeps another place in the log than its first',
    told => {
      const again = structuredClone(found(told, 'join_record', { sessionId: 's2' }))
      again.offset = 99
      told.push(again as Told)
      found(told, 'session', { sessionId: 's2' }).logOffset = 99
    },
  ],
  [
    'wrong_partition',
    'the joins of a room are in two partitions',
    told => {
      found(told, 'join_record', { sessionId: 's6' }).partition = 1
    },
  ],
  [
    'lost_join',
    'a join was answered, and there is no session',
    told => {
      const userId = 'u'
      told.push({
        kind: 'accepted',
        atMs: START_MS,
        sessionId: 'x',
        eventId: EVENT,
        userId,
      } as Told)
    },
  ],
  [
    'lost_join',
    'a session is gone',
    told => {
      without(told, found(told, 'session', { sessionId: 's3' }))
    },
  ],
  [
    'lost_join',
    'a visitor was told that there is no such session',
    told => {
      found(told, 'visited', { sessionId: 's3' }).unknown = true
    },
  ],
  [
    'not_published',
    'a join is not in the topic',
    told => {
      without(told, found(told, 'join_record', { sessionId: 's6' }))
    },
  ],
  [
    'published_twice',
    'a join is in the topic with two ids',
    told => {
      const again = structuredClone(found(told, 'join_record', { sessionId: 's6' }))
      again.recordId = 'another'
      told.push(again as Told)
    },
  ],
  [
    'phantom_record',
    'the topic has a join that nobody made',
    told => {
      found(told, 'join_record', { sessionId: 's6' }).sessionId = 'x'
    },
  ],
  [
    'altered_record',
    'a join in the topic names another user',
    told => {
      found(told, 'join_record', { sessionId: 's6' }).userId = 'u'
    },
  ],
  [
    'not_numbered',
    'one who had a place has no number',
    told => {
      found(told, 'session', { sessionId: 's2' }).seq = null
    },
  ],
  [
    'not_ended',
    'somebody waits still',
    told => {
      found(told, 'session', { sessionId: 's7' }).status = 'WAITING'
    },
  ],
  [
    'wrong_end',
    'a session has left, and nobody asked for it',
    told => {
      found(told, 'visited', { sessionId: 's1' }).askedToLeave = false
    },
  ],
  [
    'wrong_end',
    'a leave was answered with another end',
    told => {
      found(told, 'visited', { sessionId: 's1' }).leftAs = 'EXPIRED'
    },
  ],
  [
    'contradicted',
    'a visitor was told that an ended session is active',
    told => {
      found(told, 'visited', { sessionId: 's1' }).contradiction = 'ACTIVE after LEFT'
    },
  ],
  [
    'change_lost',
    'a grant is not told',
    told => {
      without(told, found(told, 'change_record', { sessionId: 's3', status: 'ACTIVE' }))
    },
  ],
  [
    'change_twice',
    'a grant is told twice, with two ids',
    told => {
      const record = found(told, 'change_record', { sessionId: 's3', status: 'ACTIVE' })
      told.push({ ...record, recordId: 'another' } as Told)
    },
  ],
  [
    'change_phantom',
    'a grant is told that never was',
    told => {
      const record = found(told, 'change_record', { sessionId: 's3', status: 'ACTIVE' })
      told.push({ ...record, recordId: 'another', sessionId: 's6' } as Told)
    },
  ],
  [
    'change_out_of_order',
    'a later change is told first',
    told => {
      const third = found(told, 'change_record', { sessionId: 's3', status: 'ACTIVE' })
      const fourth = found(told, 'change_record', { sessionId: 's4', status: 'ACTIVE' })
      ;[third.offset, fourth.offset] = [fourth.offset, third.offset]
    },
  ],
  [
    'change_altered',
    'a change is told with another number',
    told => {
      found(told, 'change_record', { sessionId: 's3', status: 'ACTIVE' }).seq = 7
    },
  ],
  [
    'replay_changed',
    'reading the joins again changes a counter',
    told => {
      found(told, 'replayed').differences = ['rooms: a, then b']
    },
  ],
  [
    'stuck',
    'the campaign does not come to rest',
    told => {
      found(told, 'rested').drained = false
    },
  ],
  [
    'bad_exit',
    'a process ends by itself',
    told => {
      found(told, 'door_exited').asked = null
    },
  ],
  [
    'journal_incomplete',
    'a table holds what the journal does not tell',
    told => {
      found(told, 'session', { sessionId: 's5' }).status = 'LEFT'
    },
  ],
]
