import assert from 'node:assert/strict'
import { type ClientRequest, type IncomingHttpHeaders, request } from 'node:http'
import { AdmissionTokens } from '../../src/admission/admission-token.ts'
import {
  type AdmissionServer,
  type AdmissionServerOptions,
  startAdmissionServer,
} from '../../src/admission/http/server.ts'
import { PostgresDesk } from '../../src/admission/postgres-desk.ts'
import { type TurnReport, takeTurn } from '../../src/admission/room-turn.ts'
import { withDeadline } from '../../src/internal/deadline.ts'
import { Database, type Sql } from '../../src/postgres/database.ts'
import { openTransactionPool } from '../../src/postgres/transaction-pool.ts'
import type { Log } from '../../src/telemetry/log.ts'
import { applyAdmissionSchema } from './admission-schema.ts'
import { cleanup } from './cleanup.ts'
import { createDatabase } from './database.ts'
import type { Scope } from './parts.ts'

const ANSWER_TIMEOUT_MS = 10_000

export const DOOR_SECRET = 'a secret of tests with more than 32 bytes'
export const ADMIN_TOKEN = 'the-admin-token-of-tests'
export const SESSIONS = '/api/waiting-room/sessions'
export const ROOMS = '/api/waiting-room/rooms'
/** Of no session. */
export const STRANGER = '6f0d0cb0-58fb-4b4b-a1f9-6f1b1c8d8f10'

export interface DoorOptions extends Partial<AdmissionServerOptions> {
  /** Rooms are made by joining, with this capacity. Default null: they are not. */
  readonly capacityOfNewRooms?: number | null
  /** What the desk connects to instead of the database itself, such as a proxy before it. */
  readonly throughUrl?: (url: string) => Promise<string>
}

export interface LogLine {
  readonly level: keyof Log
  readonly facts: Record<string, unknown>
  readonly message: string
}

export interface Door {
  readonly server: AdmissionServer
  readonly desk: PostgresDesk
  readonly sql: Sql
  readonly log: readonly LogLine[]
  call(method: string, path: string, init?: CallInit): Promise<Answer>
  /** Calls as an admin. */
  admin(method: string, path: string, body?: object): Promise<Answer>
  /** @returns the id of the session */
  join(eventId: string, userId: string): Promise<string>
  /** Gives places to all joins that have none, in the order of joining, as the granter would. */
  turn(eventId: string): Promise<TurnReport>
}

export interface CallInit {
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON, with its content type. */
  readonly body?: string | object
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** Of the body; undefined when it is none. */
  readonly json: unknown
}

/** The server of admission on a database of its own, with a Kafka that is away: places are given by `turn`. */
export async function openDoor(t: Scope, options: DoorOptions = {}): Promise<Door> {
  const { capacityOfNewRooms = null, throughUrl = async url => url, ...rest } = options
  const { sql, url: directUrl } = await createDatabase(t)
  await applyAdmissionSchema(sql)
  const url = await throughUrl(directUrl)
  const limits = { connectionsMax: 4, statementTimeoutMs: 2_000 }
  const database = new Database({ url, applicationName: 'test door', ...limits })
  const idle = { idleInTransactionTimeoutMs: 5_000 }
  const pool = openTransactionPool({ url, applicationName: 'test turns', ...limits, ...idle })
  const topics = { joinsTopic: 'joins', changesTopic: null }
  const desk = new PostgresDesk({ database, pool, ...topics, capacityOfNewRooms })
  cleanup(t, () => database.stop())
  cleanup(t, () => pool.stop())
  cleanup(t, () => desk.stop())
  const log: LogLine[] = []
  const server = await startAdmissionServer({
    host: '127.0.0.1',
    port: 0,
    desk,
    tokens: new AdmissionTokens([DOOR_SECRET]),
    adminToken: ADMIN_TOKEN,
    joinsPerSecond: null,
    trustProxy: 0,
    log: recorder(log),
    health: () => ({ live: true, ready: true, checks: [] }),
    metrics: async () => '# none\n',
    ...rest,
  })
  cleanup(t, () => server.stop())
  const call = (method: string, path: string, init?: CallInit) =>
    callServer(server, method, path, init)
  return {
    server,
    desk,
    sql,
    log,
    call,
    admin: (method, path, body) =>
      call(method, path, {
        headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
        ...(body && { body }),
      }),
    join: async (eventId, userId) => {
      const { json } = await call('POST', SESSIONS, { body: { eventId, userId } })
      return (json as { sessionId: string }).sessionId
    },
    turn: eventId =>
      pool.transaction(async tx =>
        takeTurn(tx, eventId, { joins: await unnumbered(sql, eventId) }),
      ),
  }
}

async function unnumbered(sql: Sql, eventId: string) {
  const rows = await sql<{ id: string }[]>`
    select id from admission.sessions
    where event_id = ${eventId} and seq is null order by joined_at, id`
  const [{ last } = { last: '0' }] = await sql<{ last: string }[]>`
    select coalesce(max(log_offset), 0)::text as last
    from admission.sessions where event_id = ${eventId}`
  return rows.map(({ id }, index) => ({
    sessionId: id,
    partition: 0,
    offset: BigInt(last) + BigInt(index + 1),
  }))
}

function recorder(lines: LogLine[]): Log {
  const write = (level: keyof Log) => (facts: object, message: string) => {
    lines.push({ level, facts: { ...facts }, message })
  }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** One request on a connection of its own, with the headers that are given and `host`; answered in time, or an error. */
export async function callServer(
  { address }: Pick<AdmissionServer, 'address'>,
  method: string,
  path: string,
  { headers = {}, body }: CallInit = {},
): Promise<Answer> {
  const sent = typeof body === 'object' ? JSON.stringify(body) : body
  const type = typeof body === 'object' ? { 'content-type': 'application/json' } : {}
  const length = sent === undefined ? {} : { 'content-length': String(Buffer.byteLength(sent)) }
  const asking = request(new URL(`http://${address}`), {
    method,
    path,
    headers: { ...type, ...length, ...headers },
    agent: false,
  })
  asking.end(sent)
  try {
    const late = () => new Error(`${method} ${path}: no whole answer in time`)
    return await withDeadline(answerTo(asking), ANSWER_TIMEOUT_MS, late)
  } finally {
    asking.destroy()
  }
}

function answerTo(asking: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    asking.on('error', reject)
    asking.on('response', response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const { statusCode: status = 0, headers } = response
        resolve({ status, headers, text, json: parsed(text) })
      })
    })
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** That the answer is this problem, in the form that all of them have. */
export function assertProblem(answer: Answer, status: number, kind: string, about = ''): void {
  const { json, text, headers } = answer
  const { type, instance, title, detail, ...rest } = json as Record<string, string>
  assert.deepEqual(
    { status: answer.status, type },
    { status, type: `/problems/${kind}` },
    about + text,
  )
  assert.equal(headers['content-type'], 'application/problem+json; charset=utf-8', about)
  assert.equal(Number(rest.status), status)
  assert.match(instance ?? '', /^urn:uuid:[0-9a-f-]{36}$/)
  assert.ok(title && detail)
  assert.equal(headers['x-content-type-options'], 'nosniff')
}
