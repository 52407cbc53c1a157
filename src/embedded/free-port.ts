import { createServer } from 'node:net'

/** A TCP port of 127.0.0.1 that is free now; another process may still take it before the caller does. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((settle, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', settle)
  })
  const address = server.address()
  await new Promise(settle => server.close(settle))
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}

/** How often to try a start with a new port before giving up. */
export const PORT_ATTEMPTS_MAX = 3
/** What PostgreSQL, Java and Docker say when somebody else was faster. */
export const PORT_TAKEN = /address already in use|port is already allocated/i
