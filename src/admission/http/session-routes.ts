import type { FastifyInstance, FastifyReply } from 'fastify'
import { SluiceError } from '../../errors.ts'
import type { AdmissionDesk } from '../admission-desk.ts'
import type { AdmissionTokens } from '../admission-token.ts'
import type { JoinRequest, Session } from '../session.ts'
import type { HttpListener } from './http-listener.ts'
import { Problem } from './problem.ts'
import { joinBody } from './schemas.ts'
import { pollAfterSeconds, viewSession } from './session-view.ts'
import { takeAnyBody } from './take-any-body.ts'

export const SESSIONS_PATH = '/api/waiting-room/sessions'

export interface SessionRoutesOptions {
  readonly desk: AdmissionDesk
  readonly tokens: AdmissionTokens
  readonly listener: HttpListener
}

interface OfSession {
  Params: { sessionId: string }
}

/** What visitors call. */
export async function sessionRoutes(
  app: FastifyInstance,
  { desk, tokens, listener }: SessionRoutesOptions,
): Promise<void> {
  const answer = async (session: Session | null, reply: FastifyReply) => {
    if (session === null) throw unknownSession()
    if (session.status === 'WAITING') {
      reply.header('retry-after', pollAfterSeconds(session.position))
    }
    return viewSession(session, tokens)
  }
  app.post<{ Body: JoinRequest }>(
    SESSIONS_PATH,
    { onRequest: app.limitJoins, schema: { body: joinBody } },
    async ({ body: { eventId, userId } }, reply) => {
      const { sessionId, created } = await join(desk, { eventId, userId })
      listener.joined(created)
      return reply.code(202).header('location', `${SESSIONS_PATH}/${sessionId}`).send({ sessionId })
    },
  )
  app.get<OfSession>(`${SESSIONS_PATH}/:sessionId`, async ({ params }, reply) =>
    answer(await desk.look(params.sessionId), reply),
  )
  app.delete<OfSession>(`${SESSIONS_PATH}/:sessionId`, async ({ params }, reply) =>
    answer(await desk.leave(params.sessionId), reply),
  )
  await app.register(async posts => {
    takeAnyBody(posts)
    posts.post<OfSession>(`${SESSIONS_PATH}/:sessionId/heartbeat`, async ({ params }, reply) =>
      answer(await desk.heartbeat(params.sessionId), reply),
    )
    posts.post<OfSession>(`${SESSIONS_PATH}/:sessionId/leave`, async ({ params }, reply) =>
      answer(await desk.leave(params.sessionId), reply),
    )
  })
}

export function unknownSession(): Problem {
  return new Problem('unknown-session', 'It never was, or it ended long ago; join to get a new one')
}

async function join(desk: AdmissionDesk, request: JoinRequest) {
  try {
    return await desk.join(request)
  } catch (error) {
    if (!(error instanceof SluiceError && error.code === 'options')) throw error
    const detail = 'There is no waiting room for this event; an operator must make it first'
    throw new Problem('unknown-room', detail, { cause: error })
  }
}
