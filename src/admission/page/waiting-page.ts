import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type {} from '../http/limit-joins.ts'
import { roomParams } from '../http/schemas.ts'
import { NOT_FOUND, OTHER_SITE } from './notice-of.ts'
import { PageAnswers, type WaitingPageOptions } from './page-answers.ts'
import { loadPageAssets, type PageAssets } from './page-assets.ts'
import { setPageHeaders } from './page-headers.ts'
import { sessionPath } from './page-paths.ts'
import { isSameSite } from './same-site.ts'

export type { WaitingPageOptions }

/** A form of the page has no fields. */
const BODY_BYTES_MAX = 1_024

/**
 * The page where visitors wait, under /waiting-room: it works without scripts; with them it follows the API's events.
 * @returns a plugin of fastify; it brings its parser, its headers and its answers to errors, and leaves those of
 *   others alone
 */
export function waitingPage(options: WaitingPageOptions): FastifyPluginAsync {
  return async server => {
    const assets = await loadPageAssets()
    await server.register(
      async page => definePage(page, new PageAnswers(options, assets), assets),
      {
        prefix: '/waiting-room',
      },
    )
  }
}

async function definePage(
  page: FastifyInstance,
  answers: PageAnswers,
  assets: PageAssets,
): Promise<void> {
  if (!page.hasReplyDecorator('setCookie')) await page.register(cookie)
  page.removeAllContentTypeParsers()
  page.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: BODY_BYTES_MAX },
    async () => null,
  )
  page.addHook('onSend', setPageHeaders)
  page.addHook('preHandler', async (request, reply) => {
    if (request.method === 'POST' && !isSameSite(request)) return answers.notice(reply, OTHER_SITE)
  })
  page.setErrorHandler((error, request, reply) => answers.failed(error, request, reply))
  page.setNotFoundHandler((_request, reply) => answers.notice(reply, NOT_FOUND))
  serveAssets(page, assets)
  serveRooms(page, answers)
  serveSessions(page, answers)
}

function serveAssets(page: FastifyInstance, { files, version }: PageAssets): void {
  page.get<{ Params: { version: string; name: string } }>(
    '/assets/:version/:name',
    async (request, reply) => {
      const asset = files.get(request.params.name)
      if (asset === undefined) return reply.callNotFound()
      // While one process after the other is renewed, a page may ask another one than that which made it.
      const current = request.params.version === version
      reply.header('cache-control', current ? 'public, max-age=31536000, immutable' : 'no-cache')
      return reply.type(asset.type).send(asset.body)
    },
  )
}

type ForRoom = { Params: { eventId: string } }
type ForSession = { Params: { sessionId: string } }

function serveRooms(page: FastifyInstance, answers: PageAnswers): void {
  const schema = { params: roomParams }
  page.get<ForRoom>('/:eventId', { schema }, (request, reply) =>
    answers.showRoom(request.params.eventId, reply),
  )
  // The server that this is registered with counts all joins of a client together.
  page.post<ForRoom>('/:eventId', { schema, onRequest: page.limitJoins }, (request, reply) =>
    answers.join(request.params.eventId, request, reply),
  )
}

function serveSessions(page: FastifyInstance, answers: PageAnswers): void {
  page.get<ForSession>('/sessions/:sessionId', (request, reply) =>
    answers.showSession(request.params.sessionId, reply),
  )
  page.get<ForSession>('/sessions/:sessionId/enter', (request, reply) =>
    answers.enter(request.params.sessionId, reply),
  )
  for (const deed of ['heartbeat', 'leave'] as const) {
    page.post<ForSession>(`/sessions/:sessionId/${deed}`, (request, reply) =>
      answers.change(request.params.sessionId, deed, reply),
    )
    // Where a browser lands that reloads the answer to a form that failed.
    page.get<ForSession>(`/sessions/:sessionId/${deed}`, async (request, reply) =>
      reply.redirect(sessionPath(request.params.sessionId), 303),
    )
  }
}
