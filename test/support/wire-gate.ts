import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { cleanup } from './cleanup.ts'
import { openKafka } from './kafka.ts'
import { KafkaWire, type RequestHead } from './kafka-wire.ts'
import type { Scope } from './parts.ts'

/** Stands before every broker of the cluster, also for what clients learn from metadata, and knows Produce requests. */
export interface WireGate {
  /** Its address for the first connection, as `host:port`. */
  readonly broker: string
  /** Produce requests that have come, whatever became of them. */
  readonly produceRequests: number
  readonly connections: number
  /** The next Produce request is stored; its answer is dropped, and the connection reset. */
  swallowNextAnswer(): void
  /** Of the Produce requests that come, each `nth` is not passed on, and its connection reset; 0: none. */
  resetEach(nth: number): void
  /** From now on nothing gets through, in either direction, and connections stay open. */
  blackHole(): void
  /** Ends all connections as a broker does with idle ones. */
  endConnections(): void
  /** From now on new connections and new requests get through. */
  heal(): void
}

/** Opens a gate that lets everything through; closed after the test. */
export async function openWireGate(t: Scope): Promise<WireGate> {
  const sockets = new Set<Socket>()
  const ports = new Map<string, number>()
  let swallow = false
  let nth = 0
  let silent = false
  let produceRequests = 0

  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  const listen = async (host: string, port: number) => {
    const server = createServer(client => {
      const broker = connect(port, host)
      keep(client)
      keep(broker)
      const wire = new KafkaWire(ports)
      const reset = () => {
        client.resetAndDestroy()
        broker.destroy()
      }
      let dropped: number | null = null
      const passes = ({ isProduce, correlationId }: RequestHead) => {
        if (silent) return false
        if (!isProduce) return true
        produceRequests++
        if (nth > 0 && produceRequests % nth === 0) {
          reset()
          return false
        }
        if (swallow) {
          swallow = false
          dropped = correlationId
        }
        return true
      }
      client.on('data', chunk => {
        for (const frame of wire.requests(chunk)) if (passes(frame.head)) broker.write(frame.bytes)
      })
      broker.on('data', chunk => {
        for (const frame of wire.answers(chunk)) {
          if (frame.correlationId === dropped) return reset()
          if (!silent) client.write(frame.bytes)
        }
      })
      client.on('end', () => broker.end())
      broker.on('end', () => client.end())
      client.on('close', () => broker.destroy())
      broker.on('close', () => client.destroy())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanup(t, () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
    return (server.address() as AddressInfo).port
  }

  for (const { host, port } of await advertisedBrokers())
    ports.set(`${host}:${port}`, await listen(host, port))
  return {
    broker: `127.0.0.1:${[...ports.values()][0]}`,
    get produceRequests() {
      return produceRequests
    },
    get connections() {
      return sockets.size / 2
    },
    swallowNextAnswer: () => {
      swallow = true
    },
    resetEach: each => {
      nth = each
    },
    blackHole: () => {
      silent = true
    },
    endConnections: () => {
      for (const socket of sockets) socket.end()
    },
    heal: () => {
      silent = false
      swallow = false
      nth = 0
    },
  }
}

async function advertisedBrokers(): Promise<{ host: string; port: number }[]> {
  const admin = openKafka().admin()
  await admin.connect()
  try {
    return (await admin.describeCluster()).brokers
  } finally {
    await admin.disconnect()
  }
}
