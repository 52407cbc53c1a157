import type { FastifyReply, FastifyRequest } from 'fastify'
import { describeError } from '../../errors.ts'
import type { Log } from '../../telemetry/log.ts'
import type { AdmissionDesk } from '../admission-desk.ts'
import type { AdmissionTokens } from '../admission-token.ts'
import type { Session } from '../session.ts'
import type { Html } from './html.ts'
import { noticeOf, UNKNOWN_ROOM, UNKNOWN_SESSION } from './notice-of.ts'
import { type Notice, noticePage } from './notice-page.ts'
import type { PageAssets } from './page-assets.ts'
import { sessionPath } from './page-paths.ts'
import { RoomGlance } from './room-glance.ts'
import { roomPage } from './room-page.ts'
import { sessionPage } from './session-page.ts'
import { withAdmission } from './target-link.ts'
import { rememberVisitor } from './visitor-cookie.ts'

export interface WaitingPageOptions {
  readonly desk: AdmissionDesk
  readonly tokens: Pick<AdmissionTokens, 'sign'>
  /** Whether a room that is not there is made by its first join: its page then has the form. Default false. */
  readonly roomsByJoining?: boolean
  /** Is told why a visitor could not be served. */
  readonly log?: Log
  /** Is told of each join by the page. */
  readonly onJoin?: (created: boolean) => void
}

/** What visitors get at the page's addresses. */
export class PageAnswers {
  readonly #options: WaitingPageOptions
  readonly #assets: PageAssets
  readonly #rooms: RoomGlance

  constructor(options: WaitingPageOptions, assets: PageAssets) {
    this.#options = options
    this.#assets = assets
    this.#rooms = new RoomGlance(options.desk)
  }

  async showRoom(eventId: string, reply: FastifyReply): Promise<FastifyReply> {
    const room = await this.#rooms.room(eventId)
    const { roomsByJoining = false } = this.#options
    if (room === null && !roomsByJoining) return this.notice(reply, UNKNOWN_ROOM)
    return send(reply, 200, roomPage(room ?? { eventId, paused: false }, this.#assets.version))
  }

  async join(eventId: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const userId = rememberVisitor(request, reply)
    const { sessionId, created } = await this.#options.desk.join({ eventId, userId })
    this.#options.onJoin?.(created)
    return reply.redirect(sessionPath(sessionId), 303)
  }

  async showSession(sessionId: string, reply: FastifyReply): Promise<FastifyReply> {
    const session = await this.#options.desk.look(sessionId)
    if (session === null) return this.notice(reply, UNKNOWN_SESSION)
    return send(reply, 200, sessionPage(session, this.#assets, new Date()))
  }

  /** The way on is made when it is taken, so that its token lasts as long as the lease does by then. */
  async enter(sessionId: string, reply: FastifyReply): Promise<FastifyReply> {
    const session = await this.#options.desk.look(sessionId)
    if (session === null) return this.notice(reply, UNKNOWN_SESSION)
    return reply.redirect((await this.#wayOn(session)) ?? sessionPath(sessionId), 303)
  }

  async change(
    sessionId: string,
    deed: 'heartbeat' | 'leave',
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const session = await this.#options.desk[deed](sessionId)
    if (session === null) return this.notice(reply, UNKNOWN_SESSION)
    return reply.redirect(sessionPath(sessionId), 303)
  }

  failed(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const notice = noticeOf(error)
    // Outages and crowds are told by whoever sees them begin and end.
    if (notice.status === 500) {
      const route = request.routeOptions.url ?? ''
      this.#options.log?.warn({ err: describeError(error), route }, 'waiting page was not served')
    }
    return this.notice(reply, notice)
  }

  notice(reply: FastifyReply, notice: Notice): FastifyReply {
    if (notice.retrySeconds !== null) reply.header('retry-after', notice.retrySeconds)
    return send(reply, notice.status, noticePage(notice, this.#assets.version))
  }

  async #wayOn(session: Session): Promise<string | null> {
    const { status, leaseUntil, targetUrl } = session
    if (status !== 'ACTIVE' || leaseUntil === null || targetUrl === null) return null
    return withAdmission(targetUrl, await this.#options.tokens.sign({ ...session, leaseUntil }))
  }
}

function send(reply: FastifyReply, status: number, page: Html): FastifyReply {
  return reply.code(status).type('text/html; charset=utf-8').send(page.text)
}
