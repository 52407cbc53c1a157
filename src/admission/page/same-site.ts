import type { FastifyRequest } from 'fastify'

/**
 * Whether a form was sent by a page of this site, or by no browser. Browsers say where a request comes from only over
 * TLS and to the machine itself; over plain HTTP there is the Origin of whoever sent the form.
 */
export function isSameSite(request: FastifyRequest): boolean {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const { origin } = request.headers
  if (origin === undefined) return true
  return URL.canParse(origin) && new URL(origin).host === request.host
}
