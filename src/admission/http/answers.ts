import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Log } from '../../telemetry/log.ts'
import { PROBLEM_TYPE, Problem } from './problem.ts'
import { problemOf } from './problem-of.ts'

/** On every answer. Ids of sessions are in paths, and who knows one may end that session: no referrer. */
export const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** Makes every error of the server an `application/problem+json`, and logs those that are its own fault. */
export function answerProblems(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error, request, reply) => {
    sendProblem(reply, tell(problemOf(error), log, request))
  })
  app.setNotFoundHandler(() => {
    throw new Problem('not-found', 'See the description of the API for the paths that there are')
  })
}

export function sendProblem(reply: FastifyReply, problem: Problem): void {
  reply
    .code(problem.statusCode)
    .headers({ ...SECURITY_HEADERS, ...problem.headers })
    .type(PROBLEM_TYPE)
    .send(JSON.stringify(problem))
}

function tell(problem: Problem, log: Log, request: FastifyRequest): Problem {
  if (problem.kind === 'internal') {
    const route = request.routeOptions.url ?? 'none'
    const { instance, cause } = problem
    log.error({ instance, method: request.method, route, err: cause }, 'request failed')
  }
  return problem
}

/**
 * What Node's parser refused, before there is a request.
 * @param socket closed after the answer
 */
export function answerUnparsed(error: { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const problem = unparsed(error.code)
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${problem.statusCode} ${problem.kind}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}`),
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

function unparsed(code: string | undefined): Problem {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new Problem('headers-too-large', 'Send fewer or shorter header fields and cookies')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Problem('request-timeout', 'Send the whole request at once')
    default:
      return new Problem('malformed-request', 'The server could not parse it')
  }
}

/**
 * Answers 405 on every path that has a route, for the methods that have none there.
 * @returns to be called once all routes are registered
 */
export function refuseOtherMethods(app: FastifyInstance): () => void {
  const methodsOf = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }: RouteOptions) => {
    const methods = methodsOf.get(url) ?? new Set()
    for (const one of [method].flat()) methods.add(one)
    methodsOf.set(url, methods)
  })
  return () => {
    for (const [url, methods] of [...methodsOf]) {
      // The page's own catch-all, if it has one, must not become a list of refusals.
      if (url.includes('*')) continue
      const allow = [...methods].sort().join(', ')
      app.route({
        method: app.supportedMethods.filter(method => !methods.has(method)),
        url,
        // Before the body is read: whatever it is, it is not for this path.
        onRequest: async () => {
          throw new Problem('method-not-allowed', `Use ${allow}`, { headers: { allow } })
        },
        handler: async () => {},
      })
    }
  }
}
