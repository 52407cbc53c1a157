import { createServer, type Server } from 'node:net'

/** How often to try a start with new ports before giving up. */
export const PORT_ATTEMPTS_MAX = 3
/** What PostgreSQL, Java and Docker say when somebody else was faster. */
export const PORT_TAKEN = /address already in use|port is already allocated/i

/**
 * Ports below those that Linux (32768) and macOS (49152) give to outgoing connections: one of these could take a port
 * before the part that it was meant for binds it, and again while that part is being restarted.
 */
const PORT_MIN = 15_000
const PORT_MAX = 32_000
const TRIES_MAX = 50

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
  for (let attempt = 1; attempt <= TRIES_MAX; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN))
    try {
      return await listenOn(port)
    } catch {
      // Taken: another one.
    }
  }
  return listenOn(0)
}

async function listenOn(port: number): Promise<Server> {
  const server = createServer()
  await new Promise<void>((settle, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', settle)
  })
  return server
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
