/** The least that fastify can do: every GET is answered with the same text. The parent gives text and port. */
import fastify from 'fastify'

const { BARE_TEXT = '', BARE_PORT = '0' } = process.env
const app = fastify()
app.get('/*', (_, reply) => reply.type('application/json; charset=utf-8').send(BARE_TEXT))
await app.listen({ host: '127.0.0.1', port: Number(BARE_PORT) })
process.on('disconnect', () => process.exit(0))
