import Fastify, { type FastifyInstance } from 'fastify'
import { answerUnparsed, sendProblem } from './answers.ts'
import { problemOf } from './problem-of.ts'
import { BODY_BYTES_MAX } from './schemas.ts'

const HEADER_BYTES_MAX = 8 * 1024
/** One who sends byte by byte holds a connection for so long, and no longer. */
const HEADERS_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 10_000
const TIMEOUT_CHECKS_EVERY_MS = 1_000
/** Longer than any answer takes to be made. */
const SILENCE_TIMEOUT_MS = 30_000
/** Longer than the 60 s after which the usual load balancers close: else they would send into a closed connection. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000
/** A room's id of 200 characters takes up to 400 units; what is longer is no id of ours. */
const PARAM_CHARS_MAX = 500

/** An HTTP server with bounds on everything that a client may send; it has no route yet. */
export function createApp({ trustProxy }: { trustProxy: number }): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    // As a function: a plain number is taken for no trust at all.
    trustProxy: trustProxy > 0 ? (_address: string, hop: number) => hop < trustProxy : false,
    connectionTimeout: SILENCE_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECKS_EVERY_MS,
    },
    // The server answers these itself, as problems.
    return503OnClosing: false,
    clientErrorHandler: answerUnparsed,
    frameworkErrors: (error, _request, reply) => sendProblem(reply, problemOf(error)),
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    ajv: {
      customOptions: {
        // Say what is wrong instead of making it fit.
        removeAdditional: false,
        coerceTypes: false,
        useDefaults: false,
        allErrors: true,
      },
    },
  })
  app.removeContentTypeParser('text/plain')
  return app
}
