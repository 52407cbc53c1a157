import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { monotonicMs } from '../internal/monotonic.ts'

/** What postgres.js hands to a socket factory: where the server may be. */
export interface SocketTarget {
  readonly host: readonly string[]
  readonly port: readonly number[]
  /** The Unix socket, if it is one. */
  readonly path?: string | false | undefined
}

const GAP_MS_MIN = 25
const GAP_MS_MAX = 1_000

/**
 * A socket factory for postgres.js that keeps connection attempts apart. When a server, or what stands before it,
 * accepts a connection and closes it again before it has said anything, postgres.js 3.4.9 connects anew at once, some
 * hundred times a second and without end. Here, from the second such connection on, attempts wait for their turn.
 *
 * To fail them instead would be sooner known, but a socket that breaks before postgres.js has written to it leaves
 * the connection's write timer set for good: whatever is sent over it later is never written.
 */
export function pacedSockets(): (target: SocketTarget) => Promise<Socket> {
  let mute = 0
  let attempts = 0
  let nextMs = 0
  return async ({ host, port, path }) => {
    const gapMs = mute < 2 ? 0 : Math.min(GAP_MS_MAX, GAP_MS_MIN * 2 ** mute)
    const startMs = Math.max(monotonicMs(), nextMs)
    nextMs = startMs + gapMs
    await delay(startMs - monotonicMs())
    const index = attempts++ % Math.max(1, port.length)
    // Not awaited: what is written before it is connected waits in the socket, and an error finds its way.
    const socket = path ? connect(path) : connect(port[index] ?? 5432, host[index])
    // postgres.js reads from it whose certificate it must be.
    Object.assign(socket, { host: host[index], port: port[index] })
    socket.once('close', () => {
      mute = socket.bytesRead === 0 ? mute + 1 : 0
      if (mute === 0) nextMs = 0
    })
    return socket
  }
}
