import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { SluiceError } from '../../errors.ts'
import type { Health } from '../../http/health.ts'
import type { Log } from '../../telemetry/log.ts'
import type { AdmissionDesk } from '../admission-desk.ts'
import type { AdmissionTokens } from '../admission-token.ts'
import { SessionFeed } from '../session-feed.ts'
import { type AdminGate, createAdminGate } from './admin-gate.ts'
import { answerProblems, refuseOtherMethods, SECURITY_HEADERS } from './answers.ts'
import { createApp } from './app.ts'
import type { HttpListener } from './http-listener.ts'
import { addJoinLimit } from './limit-joins.ts'
import { probeRoutes } from './probe-routes.ts'
import { Problem } from './problem.ts'
import { problemRoutes } from './problem-routes.ts'
import { roomRoutes } from './room-routes.ts'
import { sessionRoutes } from './session-routes.ts'
import { streamRoutes } from './stream-routes.ts'

const STREAMS_MAX = 10_000
const CONNECTIONS_MAX = 20_000
/** Connections that wait to be taken, in a rush; the operating system may allow fewer. */
const BACKLOG = 4_096
const STOP_DEADLINE_MS = 900

export interface AdmissionServerOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly desk: AdmissionDesk
  readonly tokens: AdmissionTokens
  /** Of at least 16 characters; null: admin calls only from this machine, by a loopback address. */
  readonly adminToken: string | null
  /** Of one client address (of one /64 in IPv6); null: no limit. */
  readonly joinsPerSecond: number | null
  /** Proxies in front whose X-Forwarded-For is believed, counted from here; 0: none. */
  readonly trustProxy: number
  readonly log: Log
  readonly health: () => Health
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<string>
  readonly listener?: HttpListener
  /** Event streams open at once. Default 10,000. */
  readonly streamsMax?: number
  /** More than that are closed as they come. Default 20,000. */
  readonly connectionsMax?: number
  /** The waiting page; it may use `app.limitJoins`. */
  readonly page?: FastifyPluginAsync
}

export interface AdmissionServer {
  /** `host:port` where it listens. */
  readonly address: string
  /**
   * Takes no new connection, answers new requests with 503, ends the event streams, and closes all within a second.
   * Safe to call twice.
   */
  stop(): Promise<void>
}

const NOBODY: HttpListener = { answered: () => {}, joined: () => {}, streams: () => {} }

/**
 * Serves the API of admission, as docs/admission-api.md describes it.
 * @throws SluiceError `options`: the address cannot be listened on, or the admin token is too short
 */
export async function startAdmissionServer(
  options: AdmissionServerOptions,
): Promise<AdmissionServer> {
  const { desk, log, listener = NOBODY } = options
  const gate = createAdminGate(options.adminToken)
  const app = createApp({ trustProxy: options.trustProxy })
  const state = { stopping: false }
  const onFault = (reason: string) => log.warn({ reason }, 'event streams stand still')
  const feed = SessionFeed.start({ desk, onFault })
  try {
    addHooks(app, state, listener)
    answerProblems(app, log)
    await addRoutes(app, { ...options, gate, feed, listener })
    await listen(app, options)
  } catch (error) {
    await feed.stop()
    await app.close()
    throw error
  }
  let stopped: Promise<void> | undefined
  return {
    address: addressOf(app),
    stop: () => {
      state.stopping = true
      stopped ??= stop(app, feed)
      return stopped
    },
  }
}

function addHooks(app: FastifyInstance, state: { stopping: boolean }, listener: HttpListener) {
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(SECURITY_HEADERS)
    if (!state.stopping) return
    reply.header('connection', 'close')
    const detail = 'Send the same request again, to another process'
    throw new Problem('stopping', detail, { retryAfterSeconds: 1 })
  })
  app.addHook('onResponse', async ({ routeOptions }, reply) => {
    listener.answered(routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1_000)
  })
}

interface Parts extends AdmissionServerOptions {
  readonly gate: AdminGate
  readonly feed: SessionFeed
  readonly listener: HttpListener
}

async function addRoutes(app: FastifyInstance, parts: Parts): Promise<void> {
  const { desk, tokens, gate, feed, listener, log, health, metrics } = parts
  const { streamsMax = STREAMS_MAX } = parts
  await addJoinLimit(app, parts.joinsPerSecond)
  const refuse = refuseOtherMethods(app)
  await app.register(sessionRoutes, { desk, tokens, listener })
  await app.register(streamRoutes, { desk, tokens, feed, streamsMax, listener })
  await app.register(roomRoutes, { desk, gate, log })
  await app.register(probeRoutes, { health, metrics, gate })
  await app.register(problemRoutes)
  if (parts.page) await app.register(parts.page)
  refuse()
}

async function listen(app: FastifyInstance, options: AdmissionServerOptions): Promise<void> {
  const { host, port, connectionsMax = CONNECTIONS_MAX } = options
  app.server.maxConnections = connectionsMax
  try {
    await app.listen({ host, port, backlog: BACKLOG })
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
    const cure = taken ? 'give another port' : 'give an address of this machine'
    const message = `SLUICE_ADMISSION_HTTP must be free to listen on; ${cure}`
    throw new SluiceError('options', message, { cause })
  }
}

function addressOf(app: FastifyInstance): string {
  const { address, family, port } = app.server.address() as AddressInfo
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
}

async function stop(app: FastifyInstance, feed: SessionFeed): Promise<void> {
  const force = setTimeout(() => app.server.closeAllConnections(), STOP_DEADLINE_MS)
  try {
    await Promise.all([feed.stop(), app.close()])
  } finally {
    clearTimeout(force)
  }
}
