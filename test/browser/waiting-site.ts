import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AdmissionTokens } from '../../src/admission/admission-token.ts'
import { startAdmissionServer } from '../../src/admission/http/server.ts'
import { waitingPage } from '../../src/admission/page/waiting-page.ts'
import { PostgresDesk } from '../../src/admission/postgres-desk.ts'
import { takeTurn } from '../../src/admission/room-turn.ts'
import { admissionGuard, type GuardResult } from '../../src/admission/verify-admission.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { openPostgresProxy } from '../chaos/faults/postgres-proxy.ts'
import { applyAdmissionSchema } from '../support/admission-schema.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import type { Scope } from '../support/parts.ts'
import { connectTo } from '../support/task-room.ts'

const SECRET = 'a secret of the browser tests, 32 bytes'
const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

export interface WaitingSite {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  readonly desk: PostgresDesk
  readonly sql: Sql
  /** Gives the joins of a room their places in the order of joining, and takes its turn. */
  turn(eventId: string): Promise<void>
  /** Cuts the site off from its database. */
  cutDatabase(): void
  healDatabase(): void
}

/** The server with the page, on a database of its own; joins get their places from `turn`, not from a topic. */
export async function openSite(
  t: Scope,
  { joinsPerSecond = null }: { joinsPerSecond?: number | null } = {},
): Promise<WaitingSite> {
  const { url, sql } = await createDatabase(t)
  await applyAdmissionSchema(sql)
  const proxy = await openPostgresProxy(t, url)
  const { database, pool } = connectTo(t, proxy.url)
  const desk = new PostgresDesk({
    database,
    pool,
    joinsTopic: 'waiting-room-joins',
    changesTopic: null,
    capacityOfNewRooms: null,
  })
  cleanup(t, () => desk.stop())
  const tokens = new AdmissionTokens([SECRET])
  const server = await startAdmissionServer({
    host: '127.0.0.1',
    port: 0,
    desk,
    tokens,
    adminToken: null,
    joinsPerSecond,
    trustProxy: 1,
    log: QUIET,
    health: () => ({ live: true, ready: true, checks: [] }),
    metrics: async () => '',
    page: waitingPage({ desk, tokens }),
  })
  cleanup(t, () => server.stop())
  const turn = async (eventId: string) => {
    const rows = await sql<{ id: string }[]>`
      select s.id from admission.sessions s
      where s.event_id = ${eventId} and s.seq is null
      order by s.joined_at, s.id`
    const [{ last } = { last: 0n }] = await sql<{ last: bigint }[]>`
      select last_seq as last from admission.rooms where event_id = ${eventId}`
    const joins = rows.map(({ id }, index) => ({
      sessionId: id,
      partition: 0,
      offset: BigInt(last) + BigInt(index),
    }))
    await pool.transaction(tx => takeTurn(tx, eventId, { joins }))
  }
  return {
    url: `http://${server.address}`,
    desk,
    sql,
    turn,
    cutDatabase: () => {
      proxy.refuse()
      proxy.reset()
    },
    healDatabase: () => proxy.heal(),
  }
}

export interface Shop {
  readonly url: string
  /** How each visit was judged, the last one last. */
  readonly visits: GuardResult[]
}

/** What lies behind the waiting room: a site that lets in who has a token for the event. */
export async function openShop(t: Scope, eventId: string): Promise<Shop> {
  const guard = admissionGuard({ secret: SECRET, eventId })
  const visits: GuardResult[] = []
  const server = createServer(async (request, response) => {
    const result = await guard(request)
    if (!request.url?.includes('favicon')) visits.push(result)
    response.writeHead(result.admitted ? 200 : 403, { 'content-type': 'text/html' })
    response.end(`<!doctype html><title>Shop</title><h1>${result.admitted ? 'Welcome' : 'No'}</h1>`)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  cleanup(t, async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, visits }
}
