import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AdmissionDesk } from '../admission-desk.ts'
import type { AdmissionTokens } from '../admission-token.ts'
import type { SessionFeed } from '../session-feed.ts'
import { EventStream, readLastEventId, STREAM_HEADERS } from './event-stream.ts'
import type { HttpListener } from './http-listener.ts'
import { Problem } from './problem.ts'
import { SESSIONS_PATH, unknownSession } from './session-routes.ts'
import { SessionStream } from './session-stream.ts'
import { hasEnded } from './session-view.ts'

const RETRY_SECONDS = 5

export interface StreamRoutesOptions {
  readonly desk: Pick<AdmissionDesk, 'look'>
  readonly tokens: AdmissionTokens
  readonly feed: SessionFeed
  readonly streamsMax: number
  readonly listener: HttpListener
}

interface OfSession {
  Params: { sessionId: string }
}

/** The event stream of a session. */
export async function streamRoutes(
  app: FastifyInstance,
  options: StreamRoutesOptions,
): Promise<void> {
  const { desk, streamsMax, listener } = options
  let open = 0
  const count = (change: 1 | -1) => {
    open += change
    listener.streams(open)
  }
  app.get<OfSession>(
    `${SESSIONS_PATH}/:sessionId/events`,
    { exposeHeadRoute: false },
    async (request, reply) => {
      if (open >= streamsMax) throw tooMany()
      count(1)
      try {
        const { sessionId } = request.params
        const last = readLastEventId(String(request.headers['last-event-id'] ?? ''))
        const session = await desk.look(sessionId)
        if (session === null) throw unknownSession()
        // The only answer after which a browser does not connect again.
        if (last.ended && hasEnded(session)) return await reply.code(204).send()
        const stream = takeOver(request, reply, last.id)
        const watcher = await SessionStream.open(stream, options.tokens, session)
        const unwatch = options.feed.watch(sessionId, watcher)
        await closed(reply)
        unwatch()
      } finally {
        count(-1)
      }
    },
  )
}

/** From here on the stream answers, not fastify. */
function takeOver(request: FastifyRequest, reply: FastifyReply, lastId: number): EventStream {
  reply.hijack()
  // Its silence is bounded by comments, and by what the operating system thinks of a peer that does not answer.
  request.raw.socket.setTimeout(0)
  request.raw.socket.setNoDelay(true)
  const { raw } = reply
  // What is lost with a connection is what its client gets at the next one.
  raw.on('error', () => {})
  raw.writeHead(200, reply.headers(STREAM_HEADERS).getHeaders() as OutgoingHttpHeaders)
  return new EventStream(raw, lastId)
}

function closed({ raw }: FastifyReply): Promise<void> {
  return new Promise(resolve => {
    if (raw.destroyed || raw.closed) resolve()
    else raw.once('close', () => resolve())
  })
}

function tooMany(): Problem {
  const detail = 'Ask for the session instead, and for its stream again later'
  return new Problem('too-many-streams', detail, { retryAfterSeconds: RETRY_SECONDS })
}
