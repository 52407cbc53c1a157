import type { FastifyInstance } from 'fastify'
import { BODY_BYTES_MAX } from './schemas.ts'

/**
 * The routes of this scope take a body of any type, and do not look at it: what navigator.sendBeacon sends has
 * the type that the browser likes.
 */
export function takeAnyBody(scope: FastifyInstance): void {
  scope.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: BODY_BYTES_MAX },
    (_request, _body, done) => done(null, undefined),
  )
  // Without a type it comes to this parser alone; one that is not well-formed would be refused before any.
  scope.addHook('onRequest', async ({ headers }) => {
    headers['content-type'] = undefined
  })
}
