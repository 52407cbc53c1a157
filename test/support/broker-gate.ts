import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { cleanup } from './cleanup.ts'
import { kafkaBrokers, type Scope } from './parts.ts'

/**
 * Stands before the first broker. Kafka's answers name the broker itself, so what comes through is a client's first
 * connection and whatever asks for metadata, not the publishing.
 */
export interface BrokerGate {
  /** Its address, as `host:port`. */
  readonly broker: string
  /** Connections made since the way was last changed. */
  readonly connections: number
  /** From now on new connections lead to the broker. */
  open(): void
  /** From now on new connections are accepted and never answered. */
  shut(): void
  /** From now on what new connections ask is answered with too few bytes. */
  garble(): void
  /** Ends all connections and refuses new ones. */
  close(): Promise<void>
  reopen(): Promise<void>
}

/** Opens a gate that lets everything through; closed after the test. */
export async function openGate(t: Scope): Promise<BrokerGate> {
  const sockets = new Set<Socket>()
  let way: 'open' | 'shut' | 'garbled' = 'open'
  let connections = 0
  const [host, port] = kafkaBrokers()[0]!.split(':')
  const server = createServer(socket => {
    connections++
    keep(socket)
    if (way === 'shut') return
    if (way === 'garbled') {
      // Answers whatever is asked under the right number, with too few bytes.
      socket.on('data', request =>
        socket.write(Buffer.from([0, 0, 0, 5, ...request.subarray(8, 12), 0])),
      )
      return
    }
    const broker = connect(Number(port), host)
    keep(broker)
    socket.pipe(broker).pipe(socket)
  })
  const lead = (next: typeof way) => {
    way = next
    connections = 0
  }
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  const close = async () => {
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.destroy()
    await closed
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const own = (server.address() as AddressInfo).port
  cleanup(t, async () => {
    if (server.listening) await close()
  })
  return {
    broker: `127.0.0.1:${own}`,
    get connections() {
      return connections
    },
    open: () => lead('open'),
    shut: () => lead('shut'),
    garble: () => lead('garbled'),
    close,
    reopen: async () => {
      server.listen(own, '127.0.0.1')
      await once(server, 'listening')
    },
  }
}
