import { connect, Socket } from 'node:net'
import { monotonicMs } from '../internal/monotonic.ts'

/** What postgres.js hands to a socket factory: where the server may be. */
export interface SocketTarget {
  readonly host: readonly string[]
  readonly port: readonly number[]
  /** The Unix socket, if it is one. */
  readonly path?: string | false | undefined
}

/** The code of the error while connections are kept apart. */
export const CONNECTION_MUTE = 'CONNECTION_MUTE'

const GAP_MS_MIN = 25
const GAP_MS_MAX = 1_000

/**
 * A socket factory for postgres.js that keeps connection attempts apart. When a server, or what stands before it,
 * accepts a connection and closes it again before it has said anything, postgres.js 3.4.9 connects anew at once, some
 * hundred times a second and without end, and the statement waits. Here, from the second such connection on, a time is
 * kept in which attempts fail at once.
 */
export function pacedSockets(): (target: SocketTarget) => Promise<Socket> {
  let mute = 0
  let attempts = 0
  let notBeforeMs = 0
  return async ({ host, port, path }) => {
    if (monotonicMs() < notBeforeMs) return brokenSocket(mute)
    const index = attempts++ % Math.max(1, port.length)
    // Not awaited: what is written before it is connected waits in the socket, and an error finds its way.
    const socket = path ? connect(path) : connect(port[index] ?? 5432, host[index])
    // postgres.js reads from it whose certificate it must be.
    Object.assign(socket, { host: host[index], port: port[index] })
    socket.once('close', () => {
      mute = socket.bytesRead === 0 ? mute + 1 : 0
      if (mute > 1) notBeforeMs = monotonicMs() + Math.min(GAP_MS_MAX, GAP_MS_MIN * 2 ** mute)
    })
    return socket
  }
}

/** It breaks as soon as someone listens. To throw instead would leave postgres.js with a connection for ever half made. */
function brokenSocket(mute: number): Socket {
  const socket = new Socket()
  const error = new Error(`the server closed ${mute} connections in a row without a word`)
  setImmediate(() => socket.destroy(Object.assign(error, { code: CONNECTION_MUTE })))
  return socket
}
