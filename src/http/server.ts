import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describeError, SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { type HealthCheck, type HealthFacts, judgeHealth } from './health.ts'

export interface HttpServerOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** false: take any free port when this one is taken. Default true. */
  readonly exact?: boolean
  readonly health: () => HealthFacts
  /** The metrics in Prometheus' text format. */
  readonly metrics: () => Promise<string>
}

export interface HttpServer {
  /** `host:port` where it listens. */
  readonly address: string
  /** Closes the port and all connections, within a second. Safe to call twice. */
  stop(): Promise<void>
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const TEXT_TYPE = 'text/plain; charset=utf-8'
const METRICS_DEADLINE_MS = 5_000
const STOP_DEADLINE_MS = 1_000

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/**
 * Serves /livez, /readyz and /metrics. It answers nothing that needs a secret and takes nothing but GET and HEAD.
 * @throws SluiceError code `options` when the address cannot be listened on
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer({ maxHeaderSize: 8 * 1024 }, (request, response) => {
    respond(request, response, options).catch(() => response.destroy())
  })
  server.headersTimeout = 5_000
  server.requestTimeout = 10_000
  server.timeout = 15_000
  server.keepAliveTimeout = 5_000
  server.maxHeadersCount = 100
  server.maxConnections = 100
  await listenSomewhere(server, options)
  // A socket that fails to be accepted must not end the daemon.
  server.on('error', () => {})
  const { address, family, port } = server.address() as AddressInfo
  let stopped: Promise<void> | undefined
  return {
    address: family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`,
    stop: () => {
      stopped ??= stop(server)
      return stopped
    },
  }
}

async function listenSomewhere(server: Server, options: HttpServerOptions): Promise<void> {
  const { host, port, exact = true } = options
  try {
    await listen(server, host, port)
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
    if (taken && !exact) return listen(server, host, 0)
    const cure = taken ? 'give another port, or off' : 'give an address of this machine, or off'
    throw new SluiceError('options', `SLUICE_HTTP must be free to listen on; ${cure}`, { cause })
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  server.closeIdleConnections()
  const force = setTimeout(() => server.closeAllConnections(), STOP_DEADLINE_MS)
  await closed
  clearTimeout(force)
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpServerOptions,
): Promise<void> {
  const { status, type, body } = await answer(request, options).catch(() =>
    text(500, 'internal error\n'),
  )
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 405 && { allow: 'GET, HEAD' }),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

async function answer(request: IncomingMessage, options: HttpServerOptions): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return text(405, 'only GET and HEAD\n')
  }
  const [path, query = ''] = (request.url ?? '/').split('?')
  const verbose = new URLSearchParams(query).has('verbose')
  switch (path) {
    case '/livez': {
      const { live, checks } = judgeHealth(options.health())
      return healthText(live, checks.filter(isLoop), verbose)
    }
    case '/readyz': {
      const { ready, checks } = judgeHealth(options.health())
      return healthText(ready, checks, verbose)
    }
    case '/metrics':
      return metrics(options)
    default:
      return text(404, 'not found\n')
  }
}

async function metrics(options: HttpServerOptions): Promise<Answer> {
  try {
    const expired = () => new Error(`no metrics within ${METRICS_DEADLINE_MS} ms`)
    const body = await withDeadline(options.metrics(), METRICS_DEADLINE_MS, expired)
    return { status: 200, type: METRICS_TYPE, body }
  } catch (error) {
    return text(503, `${describeError(error)}\n`)
  }
}

function isLoop(check: HealthCheck): boolean {
  return check.name.startsWith('loop ')
}

/** Only the status counts for a probe; the lines are for people. */
function healthText(ok: boolean, checks: readonly HealthCheck[], verbose: boolean): Answer {
  const telling = (check: HealthCheck) => !check.ok || check.text.startsWith('degraded')
  const shown = verbose ? checks : checks.filter(telling)
  const lines = shown.map(check => `[${check.ok ? '+' : '-'}]${check.name} ${check.text}\n`)
  return text(ok ? 200 : 503, `${lines.join('')}${ok ? 'ok' : 'not ok'}\n`)
}

function text(status: number, body: string): Answer {
  return { status, type: TEXT_TYPE, body }
}
