import { createServer, type Server } from 'node:net'

/** How often to try a start with new ports before giving up. */
export const PORT_ATTEMPTS_MAX = 3
/** What PostgreSQL, Java and Docker say when somebody else was faster. */
export const PORT_TAKEN = /address already in use|port is already allocated/i

/** A TCP port of 127.0.0.1 that is free now; another process may still take it before the caller does. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1)
  return port as number
}

/** As many different ports. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = []
  try {
    // All are held at the same time: a port that was let go may be given out again.
    for (let index = 0; index < count; index++) servers.push(await listen())
    return servers.map(portOf)
  } finally {
    for (const server of servers) await new Promise(settle => server.close(settle))
  }
}

async function listen(): Promise<Server> {
  const server = createServer()
  await new Promise<void>((settle, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', settle)
  })
  return server
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
