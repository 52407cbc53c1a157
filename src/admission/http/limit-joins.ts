import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import { Problem } from './problem.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Hook for `onRequest` of whatever joins: all such routes count together, by client address. */
    limitJoins: onRequestHookHandler
  }
}

const WINDOW_MS = 1_000
/** Addresses that are remembered; beyond it the ones not seen for longest are forgotten. */
const CLIENTS_MAX = 20_000
/** What one customer of a provider usually has. */
const IPV6_PREFIX_BITS = 64

const NO_HEADERS = {
  'x-ratelimit-limit': false,
  'x-ratelimit-remaining': false,
  'x-ratelimit-reset': false,
}

/**
 * Adds `limitJoins` to the server.
 * @param joinsPerSecond of one client address; null: no limit
 */
export async function addJoinLimit(
  app: FastifyInstance,
  joinsPerSecond: number | null,
): Promise<void> {
  if (joinsPerSecond === null) {
    app.decorate('limitJoins', (_request, _reply, done) => done())
    return
  }
  await app.register(rateLimit, {
    global: false,
    addHeaders: { ...NO_HEADERS, 'retry-after': true },
    addHeadersOnExceeding: NO_HEADERS,
  })
  const limit = app.rateLimit({
    max: joinsPerSecond,
    timeWindow: WINDOW_MS,
    cache: CLIENTS_MAX,
    // A socket that is closed already has no address.
    keyGenerator: ({ ip }) => (ip ? normalizeIP(ip, IPV6_PREFIX_BITS) : 'gone'),
    errorResponseBuilder: () =>
      new Problem('too-many-joins', 'Send the same request again, after the time that is told', {
        retryAfterSeconds: WINDOW_MS / 1_000,
      }),
  })
  app.decorate('limitJoins', limit)
}
