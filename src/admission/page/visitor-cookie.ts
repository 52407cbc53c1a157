import { randomBytes } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'

const NAME = 'sluice-visitor'
const MAX_AGE_SECONDS = 7 * 86_400
const RANDOM_BYTES = 16
/** As long as the random bytes in base64url; whatever else is in the cookie is not ours. */
const VALUE = /^[\w-]{22}$/

/**
 * The user id of a browser: a random one, kept in a cookie, so that joining twice finds the same place. Whoever knows
 * it has that place.
 */
export function rememberVisitor(request: FastifyRequest, reply: FastifyReply): string {
  const known = request.cookies[NAME]
  const id =
    known !== undefined && VALUE.test(known)
      ? known
      : randomBytes(RANDOM_BYTES).toString('base64url')
  reply.setCookie(NAME, id, {
    path: '/waiting-room',
    httpOnly: true,
    sameSite: 'lax',
    secure: request.protocol === 'https',
    maxAge: MAX_AGE_SECONDS,
  })
  return `visitor-${id}`
}
