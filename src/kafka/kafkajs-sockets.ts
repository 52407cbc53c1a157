import { connect, isIP, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ISocketFactory } from 'kafkajs'

const KEEP_ALIVE_AFTER_MS = 60_000

/** The open sockets of a kafkajs client, to be cut when a disconnect of its own waits for a silent broker. */
export class KafkajsSockets {
  readonly #open = new Set<Socket>()
  #isCut = false

  readonly factory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (this.#isCut) return brokenSocket()
    const name = isIP(host) === 0 ? { servername: host } : {}
    const socket = ssl
      ? connectTls({ host, port, ...name, ...ssl }, onConnect)
      : connect({ host, port }, onConnect)
    socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS)
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    return socket
  }

  /**
   * With an error: without one kafkajs takes the connections for open, and its timers keep the process. It answers an
   * error by connecting anew, so from now on there is nothing to connect with.
   */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#open) socket.destroy(cutError())
  }
}

function brokenSocket(): Socket {
  const socket = new Socket()
  setImmediate(() => socket.destroy(cutError()))
  return socket
}

function cutError(): Error {
  return Object.assign(new Error('the client is closed'), { code: 'ECONNABORTED' })
}
