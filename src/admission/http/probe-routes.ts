import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Health, HealthCheck } from '../../http/health.ts'
import { withDeadline } from '../../internal/deadline.ts'
import type { AdminGate } from './admin-gate.ts'

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const TEXT_TYPE = 'text/plain; charset=utf-8'
const METRICS_DEADLINE_MS = 5_000

export interface ProbeRoutesOptions {
  readonly health: () => Health
  readonly metrics: () => Promise<string>
  readonly gate: AdminGate
}

/** /livez and /readyz for everybody, /metrics for admins. */
export async function probeRoutes(
  app: FastifyInstance,
  { health, metrics, gate }: ProbeRoutesOptions,
): Promise<void> {
  app.get('/livez', async (_request, reply) => {
    const { live } = health()
    return text(reply, live, [])
  })
  app.get('/readyz', async (request, reply) => {
    const { ready, checks } = health()
    const verbose = new URL(request.url, 'http://localhost').searchParams.has('verbose')
    return text(reply, ready, verbose ? checks : checks.filter(isTelling))
  })
  app.get('/metrics', { onRequest: gate }, async (_request, reply) => {
    const expired = () => new Error(`no metrics within ${METRICS_DEADLINE_MS} ms`)
    const body = await withDeadline(metrics(), METRICS_DEADLINE_MS, expired)
    return reply.type(METRICS_TYPE).send(body)
  })
}

function isTelling(check: HealthCheck): boolean {
  return !check.ok || isDegraded(check)
}

function isDegraded({ text }: HealthCheck): boolean {
  return text.startsWith('degraded')
}

/** Only the status counts for a probe; the names are for people. The texts may name hosts, so they stay inside. */
function text(reply: FastifyReply, ok: boolean, checks: readonly HealthCheck[]): FastifyReply {
  const lines = checks.map(
    check => `[${check.ok ? '+' : '-'}]${check.name}${isDegraded(check) ? ' degraded' : ''}\n`,
  )
  return reply
    .code(ok ? 200 : 503)
    .type(TEXT_TYPE)
    .send(`${lines.join('')}${ok ? 'ok' : 'not ok'}\n`)
}
