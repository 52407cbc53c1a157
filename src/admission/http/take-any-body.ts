import type { FastifyInstance } from 'fastify'
import { BODY_BYTES_MAX } from './schemas.ts'

/**
 * The routes of this scope take a body of any type, and do not look at it: what navigator.sendBeacon sends has
 * the type that the browser likes.
 */
export function takeAnyBody(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: BODY_BYTES_MAX },
    (_request, _body, done) => done(null, undefined),
  )
  // A type that is not even well-formed would be refused before the parser is asked.
  scope.addHook('onRequest', async ({ headers }) => {
    headers['content-type'] = undefined
  })
}
