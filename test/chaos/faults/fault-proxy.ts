/** Which way the bytes go that a fault works on: to the server, back to the client, or both. */
export type Direction = 'requests' | 'answers' | 'both'

/** Faults that last until they are healed. */
export type LastingFault = 'latency' | 'blackHole' | 'refuse' | 'slow'

/** How often each fault has really met traffic since the proxy was opened; never goes down. */
export interface Bites {
  /** Pieces of traffic that were delivered later. */
  latency: number
  /** Pieces of traffic that were held up, and connections that were accepted and not led on. */
  blackHole: number
  /** Connections reset by `reset()`. */
  reset: number
  /** New connections turned away. */
  refuse: number
  /** Pieces of traffic that were cut up and paced. */
  slow: number
  /** Answers dropped whose request the server has carried out; the connection was reset then. */
  swallow: number
  /** Requests that never reached the server; the connection was reset then. */
  drop: number
  /** Requests held while their connection was reset. */
  hold: number
  /** Held requests that reached the server in the end. */
  late: number
}

/**
 * A TCP proxy on 127.0.0.1 before one server. Without a fault it is transparent. Faults overlap freely, and each call
 * of the same fault replaces the one before.
 */
export interface FaultProxy {
  /** `host:port`, for clients. */
  readonly address: string
  readonly port: number
  /** Open connections of clients. */
  readonly connections: number
  readonly bites: Readonly<Bites>
  /** The lasting faults that are on. */
  readonly active: readonly LastingFault[]
  /** Each piece of traffic is late by `ms` ± `jitterMs`, in its order. Default direction: both. */
  latency(options: { ms: number; jitterMs?: number; direction?: Direction }): void
  /**
   * Connections stay open, new ones are accepted, nothing passes, not even their end. What was held is delivered after
   * the healing, as by TCP's retransmission, also of connections that the client has given up; `reset()` before the
   * healing throws it away.
   */
  blackHole(options?: { direction?: Direction }): void
  /** New connections are reset as soon as they are accepted, or ended in good order. Default: reset. */
  refuse(options?: { how?: 'reset' | 'end' }): void
  /** Each connection gets this many bytes a second in each direction, in small pieces. */
  slow(options: { bytesPerSecond: number }): void
  /** Resets all connections at once, on both sides. Returns how many. */
  reset(): number
  /** Ends the lasting faults that are named, without a name all faults, planned ones too. */
  heal(...faults: LastingFault[]): void
  /** Resets what is open and frees the port. */
  close(): Promise<void>
}
