import { randomUUID } from 'node:crypto'
import { SluiceError } from '../errors.ts'
import { Gathering } from '../internal/gathering.ts'
import type { Database, Sql } from '../postgres/database.ts'
import { isWritable } from './ids.ts'
import { ROOM_DEFAULTS, ROOM_LIMITS } from './room.ts'
import type { Joined, JoinRequest } from './session.ts'
import { TooBusy } from './too-busy.ts'
import { JOIN_TYPE, type JoinRecord } from './topics.ts'

export interface JoinDeskOptions {
  readonly database: Database
  readonly joinsTopic: string
  /** Null: rooms are not made by joining. */
  readonly capacityOfNewRooms: number | null
  /** Joins that wait for their statement, at most. */
  readonly joinsWaitingMax: number
}

const JOINS_OF_STATEMENT_MAX = 500
const STATEMENTS_MAX = 2
/** Rooms there may be for another one to be made by joining. */
const ROOMS_MADE_MAX = 10_000
/** An id is kept of each. */
const ROOMS_KNOWN_MAX = 100_000
/** How often the open session of a user may end, and another begin, while we look for it. */
const ROUNDS_MAX = 20
const RETRY_AFTER_MS = 1_000

interface JoinRow {
  readonly id: string
  readonly session_id: string | null
  readonly created: boolean
}

/** Takes joins; those that come while a statement is under way share the next one. */
export class JoinDesk {
  readonly #options: JoinDeskOptions
  readonly #rooms = new Set<string>()
  readonly #joins: Gathering<JoinRequest, Joined>

  constructor(options: JoinDeskOptions) {
    this.#options = options
    const { joinsWaitingMax } = options
    const text = `more than ${joinsWaitingMax} joins wait to be written`
    this.#joins = new Gathering({
      what: 'joining',
      batchMax: JOINS_OF_STATEMENT_MAX,
      batchesMax: STATEMENTS_MAX,
      waitingMax: joinsWaitingMax,
      onFull: () => new TooBusy(text, RETRY_AFTER_MS),
      run: requests => this.#joinAll(requests),
    })
  }

  /** As `AdmissionDesk.join`. @throws SluiceError `options` also for an id that cannot be written */
  async join({ eventId, userId }: JoinRequest): Promise<Joined> {
    checkId('eventId', eventId)
    checkId('userId', userId)
    return this.#joins.add({ eventId, userId })
  }

  async stop(): Promise<void> {
    await this.#joins.stop()
  }

  async #joinAll(requests: readonly JoinRequest[]): Promise<(Joined | Error)[]> {
    await this.#learnRooms(requests)
    // Two joins of one user within a statement would not see each other.
    const firsts = new Map<string, JoinRequest>()
    for (const request of requests) {
      const name = nameOf(request)
      if (this.#rooms.has(request.eventId) && !firsts.has(name)) firsts.set(name, request)
    }
    const joined = await this.#sessionsOf(firsts)
    return requests.map(request => {
      const name = nameOf(request)
      const session = joined.get(name)
      if (session && firsts.get(name) === request) return session
      if (session) return { ...session, created: false }
      return this.#rooms.has(request.eventId) ? unsettled() : this.#noRoom()
    })
  }

  async #sessionsOf(requests: ReadonlyMap<string, JoinRequest>): Promise<Map<string, Joined>> {
    const { database, joinsTopic } = this.#options
    const joined = new Map<string, Joined>()
    const left = new Map([...requests.values()].map(request => [randomUUID() as string, request]))
    for (let round = 0; left.size > 0 && round < ROUNDS_MAX; round++) {
      const rows = await database.run('joining', sql => joinStatement(sql, joinsTopic, left))
      for (const { id, session_id: sessionId, created } of rows) {
        const request = left.get(id)
        if (!request || sessionId === null) continue
        joined.set(nameOf(request), { sessionId, created })
        left.delete(id)
      }
    }
    return joined
  }

  /** Rooms never go away, so that one that was seen is there. */
  async #learnRooms(requests: readonly JoinRequest[]): Promise<void> {
    const { database, capacityOfNewRooms } = this.#options
    const asked = new Set(requests.map(({ eventId }) => eventId))
    const unknown = [...asked].filter(eventId => !this.#rooms.has(eventId))
    if (unknown.length === 0) return
    if (this.#rooms.size + unknown.length > ROOMS_KNOWN_MAX) this.#rooms.clear()
    const find = () => database.run('looking for rooms', sql => roomsStatement(sql, asked))
    let rows = await find()
    if (capacityOfNewRooms !== null && rows.length < asked.size) {
      const capacity = capacityOfNewRooms
      await database.run('making rooms', sql => makeStatement(sql, unknown, capacity))
      rows = await find()
    }
    for (const { event_id: eventId } of rows) this.#rooms.add(eventId)
  }

  #noRoom(): SluiceError {
    const cure =
      this.#options.capacityOfNewRooms === null
        ? 'make it first'
        : `no more than ${ROOMS_MADE_MAX} rooms are made by joining: make it by the admin call`
    return new SluiceError('options', `eventId names no room: ${cure}`, {
      details: { field: 'eventId' },
    })
  }
}

/**
 * Sessions and their records, one transaction. They are written in the order of the index, so that of two statements
 * that meet in it one waits for the other and not both; the records in the order in which the joins came.
 * Index sessions_open.
 * @returns without a session: it ended, or began, while the statement ran
 */
function joinStatement(sql: Sql, topic: string, joins: ReadonlyMap<string, JoinRequest>) {
  const given = [...joins].map(([sessionId, { eventId, userId }], n) => {
    const record: JoinRecord = { sessionId, eventId, userId }
    return { n, id: sessionId, event_id: eventId, user_id: userId, record: JSON.stringify(record) }
  })
  return sql<JoinRow[]>`
    with given as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb)
        as g (n int, id uuid, event_id text, user_id text, record text)
    ), made as (
      insert into admission.sessions (id, event_id, user_id)
      select g.id, g.event_id, g.user_id from given g order by g.user_id, g.event_id
      on conflict (event_id, user_id) where status in ('WAITING', 'ACTIVE') do nothing
      returning id
    ), told as (
      insert into outbox.events (topic, key, event_type, payload)
      select ${topic}::text, g.event_id, ${JOIN_TYPE}::text, g.record::json
      from made m join given g on g.id = m.id
      order by g.n
    )
    select g.id::text, m.id is not null as created,
      case when m.id is not null then m.id else (
        select s.id from admission.sessions s
        where s.event_id = g.event_id and s.user_id = g.user_id and s.status in ('WAITING', 'ACTIVE')
      ) end::text as session_id
    from given g left join made m on m.id = g.id`
}

/** Index rooms_pkey. */
function roomsStatement(sql: Sql, asked: ReadonlySet<string>) {
  return sql<{ event_id: string }[]>`
    select r.event_id
    from (select jsonb_array_elements_text(${JSON.stringify([...asked])}::text::jsonb) as id) g
    join admission.rooms r on r.event_id = g.id`
}

function makeStatement(sql: Sql, asked: readonly string[], capacity: number) {
  const { leaseMs, claimMs, waitGraceMs, renewable } = ROOM_DEFAULTS
  return sql`
    insert into admission.rooms (event_id, capacity, lease_ms, claim_ms, wait_grace_ms, renewable)
    select g.id, ${capacity}::int, ${leaseMs}::int, ${claimMs}::int, ${waitGraceMs}::int, ${renewable}::boolean
    from (select jsonb_array_elements_text(${JSON.stringify(asked)}::text::jsonb) as id order by 1) g
    limit greatest(0, ${ROOMS_MADE_MAX}::int - (select count(*) from admission.rooms))
    on conflict (event_id) do nothing`
}

function nameOf({ eventId, userId }: JoinRequest): string {
  return `${eventId}\0${userId}`
}

/** One that PostgreSQL refuses would take down all that share its statement. */
function checkId(field: 'eventId' | 'userId', value: string): void {
  const { min, max } = ROOM_LIMITS.eventIdChars
  const isText = typeof value === 'string' && value.length >= min && value.length <= 2 * max
  if (isText && [...value].length <= max && isWritable(value)) return
  throw new SluiceError(
    'options',
    `${field} must be ${min} to ${max} characters of well-formed Unicode without NUL`,
    { details: { field } },
  )
}

function unsettled(): TooBusy {
  return new TooBusy('the sessions of this user change too fast', RETRY_AFTER_MS)
}
