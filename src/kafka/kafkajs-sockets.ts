import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ISocketFactory } from 'kafkajs'

const KEEP_ALIVE_AFTER_MS = 60_000

/** The open sockets of a kafkajs client, to be cut when a disconnect of its own waits for a silent broker. */
export class KafkajsSockets {
  readonly #open = new Set<Socket>()

  readonly factory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    const name = isIP(host) === 0 ? { servername: host } : {}
    const socket = ssl
      ? connectTls({ host, port, ...name, ...ssl }, onConnect)
      : connect({ host, port }, onConnect)
    socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS)
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    return socket
  }

  /** Without an error: kafkajs would answer one by connecting anew. Its requests end by their time-outs. */
  cut(): void {
    for (const socket of this.#open) socket.destroy()
  }
}
