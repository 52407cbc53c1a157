import type { Mutant } from '../campaign/mutant-tree.ts'
import type { AdmissionScenarioName } from './scenarios.ts'

export interface AdmissionMutant extends Mutant {
  readonly scenario: AdmissionScenarioName
}

const TURN = 'src/admission/room-turn.ts'
const STATEMENTS = 'src/admission/turn-statements.ts'
const SESSIONS = 'src/admission/session-statements.ts'
const JOINS = 'src/admission/join-desk.ts'

/* biome-ignore-start lint/suspicious/noTemplateCurlyInString: texts of the sources */
export const admissionMutants: readonly AdmissionMutant[] = [
  {
    name: 'a turn does not lock its room',
    scenario: 'calm',
    file: STATEMENTS,
    find: 'where r.event_id = ${eventId} for no key update',
    replace: 'where r.event_id = ${eventId}',
  },
  {
    name: 'places are given without a look at those that are taken',
    scenario: 'calm',
    file: TURN,
    find: 'Math.max(0, room.capacity - room.active + freed)',
    replace: 'room.capacity',
  },
  {
    name: 'a paused room lets people in',
    scenario: 'calm',
    file: TURN,
    find: 'const free = room.paused ? 0 :',
    replace: 'const free = room.paused && room.capacity < 0 ? 0 :',
  },
  {
    name: 'joins are numbered in another order than that of the log',
    scenario: 'calm',
    file: STATEMENTS,
    find: 'over (order by f.log_offset, f.partition, f.id)',
    replace: 'over (order by f.id)',
  },
  {
    name: 'joins are numbered as of when they arrived, not as they lie in the log',
    scenario: 'calm',
    file: STATEMENTS,
    find: 'select g.id, g.partition, g.log_offset\n      from jsonb',
    replace: 'select g.id, g.partition, g.log_offset * -1 as log_offset\n      from jsonb',
  },
  {
    name: 'places are given in no order',
    scenario: 'calm',
    file: STATEMENTS,
    find: 'order by c.seq\n      limit ${free}::int',
    replace: 'order by c.id\n      limit ${free}::int',
  },
  {
    name: 'leases end a second and a half early',
    scenario: 'calm',
    file: STATEMENTS,
    find: 'clock_timestamp()::text as now',
    replace: "(clock_timestamp() + interval '1.5 s')::text as now",
  },
  {
    name: 'overdue leases are not looked for',
    scenario: 'few',
    file: 'src/admission/room-keeper.ts',
    find: 'everyMs: 250,',
    replace: 'everyMs: 600_000,',
  },
  {
    name: 'a heartbeat extends nothing',
    scenario: 'calm',
    file: SESSIONS,
    find: 'lease_until = greatest(s.lease_until, clock_timestamp() + r.lease_ms * interval',
    replace: 'lease_until = greatest(s.lease_until, clock_timestamp() + 0 * r.lease_ms * interval',
  },
  {
    name: 'places that are freed are counted wrongly',
    scenario: 'calm',
    file: STATEMENTS,
    find: 'freed = r.freed + ${freed}::int,',
    replace: 'freed = r.freed + least(1, ${freed}::int),',
  },
  {
    name: 'the first change of a turn is not told',
    scenario: 'calm',
    file: TURN,
    find: 'tell(tx, eventId, changes, changesTopic)',
    replace: 'tell(tx, eventId, changes.slice(1), changesTopic)',
  },
  {
    name: 'a join is published for a session that was there',
    scenario: 'calm',
    file: JOINS,
    find: 'from made m join given g on g.id = m.id\n      order by g.n',
    replace: 'from given g\n      order by g.n',
  },
  {
    name: 'joins of one room are spread over partitions',
    scenario: 'calm',
    file: JOINS,
    find: 'select ${topic}::text, g.event_id, ${JOIN_TYPE}::text',
    replace: 'select ${topic}::text, g.user_id, ${JOIN_TYPE}::text',
  },
  {
    name: 'a leave is answered and not done',
    scenario: 'calm',
    file: TURN,
    find: 'leaving: arrayText(leaving.filter(isSessionId)),',
    replace: "leaving: arrayText(leaving.filter(id => isSessionId(id) && !id.startsWith('a'))),",
  },
  {
    name: 'a join that is read again counts again',
    scenario: 'calm',
    file: STATEMENTS,
    find: '(select count(seq) from changed)::int as numbered',
    replace: '(select count(*) from found)::int as numbered',
  },
]
/* biome-ignore-end lint/suspicious/noTemplateCurlyInString: texts of the sources */
