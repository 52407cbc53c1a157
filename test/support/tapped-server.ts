import { type AddressInfo, connect, createServer } from 'node:net'
import { cleanup } from './cleanup.ts'
import type { Scope } from './parts.ts'

/** So slow that whatever the client has to say without an answer comes before it. */
const ANSWER_DELAY_MS = 100

/** A slow way to a server by which can be read what a client says, one piece for each round trip. */
export interface TappedServer {
  readonly url: string
  /** As Latin-1. May be emptied. */
  readonly said: string[]
}

export async function tapServer(t: Scope, url: string): Promise<TappedServer> {
  const said: string[] = []
  const { hostname, port } = new URL(url)
  const server = createServer(client => {
    const upstream = connect(Number(port), hostname)
    let answered = true
    client.on('data', data => {
      const before = answered ? '' : (said.pop() ?? '')
      said.push(before + data.toString('latin1'))
      answered = false
      upstream.write(data)
    })
    upstream.on('data', data => {
      setTimeout(() => {
        answered = true
        client.write(data)
      }, ANSWER_DELAY_MS)
    })
    upstream.on('close', () => client.destroy())
    client.on('close', () => upstream.destroy())
    for (const socket of [client, upstream]) socket.on('error', () => {})
  })
  await new Promise<void>(done => {
    server.listen(0, '127.0.0.1', () => done())
  })
  cleanup(t, () => {
    server.close()
  })
  const address = new URL(url)
  address.hostname = '127.0.0.1'
  address.port = String((server.address() as AddressInfo).port)
  return { url: address.href, said }
}
