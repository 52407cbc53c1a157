import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, Socket } from 'node:net'
import type { Bites, Direction, FaultProxy, LastingFault } from './fault-proxy.ts'
import { Pump } from './pump.ts'
import { type Way, Weather } from './weather.ts'

/** One connection of a client, as the protocol's part of a proxy sees it. */
export interface Link {
  toServer(bytes: Buffer): void
  toClient(bytes: Buffer): void
  /** Both sides, at once. */
  reset(): void
}

/** What a protocol makes of the bytes of one connection: it passes them on, keeps them or resets the link. */
export interface Conversation {
  fromClient(bytes: Buffer): void
  fromServer(bytes: Buffer): void
  /** The link is gone; called once. */
  closed(): void
}

/** The faults that need no knowledge of a protocol. */
export abstract class TcpProxy implements FaultProxy {
  protected readonly weather = new Weather()
  protected readonly upstream: { readonly host: string; readonly port: number }
  readonly #links = new Set<TcpLink>()
  readonly #server: Server
  #port = 0
  #closed = false

  constructor(upstream: { host: string; port: number }) {
    this.upstream = upstream
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, client =>
      this.#accept(client),
    )
  }

  protected abstract speak(link: Link): Conversation

  /** The bodies of planned faults, to be cancelled. */
  protected abstract cancelPlans(): void

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  get port(): number {
    return this.#port
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  get connections(): number {
    return this.#links.size
  }

  get bites(): Readonly<Bites> {
    return this.weather.bites
  }

  get active(): readonly LastingFault[] {
    return this.weather.active
  }

  latency({ ms, jitterMs = 0, direction = 'both' }: LatencyOptions): void {
    this.weather.set('latency', { ms, jitterMs, direction })
  }

  blackHole({ direction = 'both' }: { direction?: Direction } = {}): void {
    this.weather.set('blackHole', { direction })
  }

  refuse({ how = 'reset' }: { how?: 'reset' | 'end' } = {}): void {
    this.weather.set('refuse', { how })
  }

  slow({ bytesPerSecond }: { bytesPerSecond: number }): void {
    this.weather.set('slow', { bytesPerSecond })
  }

  reset(): number {
    const links = [...this.#links]
    for (const link of links) link.reset()
    this.weather.bites.reset += links.length
    return links.length
  }

  heal(...faults: LastingFault[]): void {
    if (faults.length === 0) this.cancelPlans()
    this.weather.clear(faults)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const link of [...this.#links]) link.reset()
    this.heal()
    await closed
  }

  #accept(client: Socket): void {
    // Its end by the peer is no event of interest: it is closed either way.
    client.on('error', () => {})
    const { refusal } = this.weather
    if (refusal !== undefined || this.#closed) {
      this.weather.bites.refuse++
      if (refusal === 'end') client.end().resume()
      else client.resetAndDestroy()
      return
    }
    const link = new TcpLink(client, this.weather, this.upstream, () => this.#links.delete(link))
    this.#links.add(link)
    link.open(this.speak(link))
  }
}

interface LatencyOptions {
  readonly ms: number
  readonly jitterMs?: number
  readonly direction?: Direction
}

class TcpLink implements Link {
  readonly #client: Socket
  readonly #weather: Weather
  readonly #upstream: { readonly host: string; readonly port: number }
  readonly #onClosed: () => void
  readonly #server = new Socket({ allowHalfOpen: true })
  readonly #requests: Pump
  readonly #answers: Pump
  #conversation: Conversation | undefined
  #gone = false

  constructor(
    client: Socket,
    weather: Weather,
    upstream: { host: string; port: number },
    onClosed: () => void,
  ) {
    this.#client = client
    this.#weather = weather
    this.#upstream = upstream
    this.#onClosed = onClosed
    const [server, requests, answers] = [this.#server, 'requests' as Way, 'answers' as Way]
    this.#requests = new Pump({ from: client, to: server, way: requests, weather })
    this.#answers = new Pump({ from: server, to: client, way: answers, weather })
  }

  open(conversation: Conversation): void {
    this.#conversation = conversation
    const [client, server] = [this.#client, this.#server]
    server.on('error', () => {})
    client.once('close', broken => this.#sideClosed(broken ? this.#requests : undefined))
    server.once('close', broken => this.#sideClosed(broken ? this.#answers : undefined))
    void this.#dial(conversation)
  }

  toServer(bytes: Buffer): void {
    this.#requests.push(bytes)
  }

  toClient(bytes: Buffer): void {
    this.#answers.push(bytes)
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
    this.#requests.close()
    this.#answers.close()
    this.#leave()
  }

  /** Never rejects: what fails is told by the socket's events. */
  async #dial(conversation: Conversation): Promise<void> {
    // Through a black hole nobody is heard of; neither must a server that is down show through it.
    if (this.#weather.isBlack('requests')) this.#weather.bites.blackHole++
    while (this.#weather.isBlack('requests') && !this.#gone) await this.#weather.changed()
    if (this.#gone) return
    const [client, server] = [this.#client, this.#server]
    server.connect({ ...this.#upstream, noDelay: true })
    client.on('data', bytes => conversation.fromClient(bytes))
    server.on('data', bytes => conversation.fromServer(bytes))
    client.once('end', () => this.#requests.end('fin'))
    server.once('end', () => this.#answers.end('fin'))
  }

  #sideClosed(tellOther: Pump | undefined): void {
    tellOther?.end('reset')
    if (this.#client.destroyed && this.#server.destroyed) this.#leave()
  }

  #leave(): void {
    if (this.#gone) return
    this.#gone = true
    this.#conversation?.closed()
    this.#onClosed()
  }
}
