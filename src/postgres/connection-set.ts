import { setMaxListeners } from 'node:events'
import { SluiceError } from '../errors.ts'
import { pacedSockets } from './paced-sockets.ts'
import { type ConnectionOptions, SingleConnection } from './single-connection.ts'
import { givenUp } from './transaction.ts'

export interface ConnectionSetOptions extends Omit<ConnectionOptions, 'socket'> {
  readonly connectionsMax: number
}

interface Waiter {
  readonly give: (connection: SingleConnection) => void
  readonly refuse: (error: SluiceError) => void
}

/** How long somebody waits for a connection while all are in use. */
const WAIT_TIMEOUT_MS = 10_000
/** A connection grows with the statements that it has prepared. */
const AGE_MS_MAX = 30 * 60_000
/** How long transactions may go on when all is to end. */
const STOP_TIMEOUT_MS = 5_000

/**
 * Connections, each lent to one at a time and opened when there is none free. One that broke, or that is not to be
 * used again, makes room for a new one.
 */
export class ConnectionSet {
  readonly #options: ConnectionOptions
  readonly #connectionsMax: number
  readonly #free: SingleConnection[] = []
  readonly #lent = new Set<SingleConnection>()
  readonly #waiters = new Set<Waiter>()
  readonly #closing = new Set<Promise<void>>()
  readonly #stop = new AbortController()
  #opening = 0
  #stopping: Promise<void> | undefined
  #onIdle: () => void = () => {}

  constructor({ connectionsMax, ...options }: ConnectionSetOptions) {
    this.#connectionsMax = connectionsMax
    // Each connection that is being opened listens to it.
    setMaxListeners(0, this.#stop.signal)
    this.#options = { ...options, socket: pacedSockets() }
  }

  /**
   * The caller owes `giveBack`.
   * @throws SluiceError `database`: none could be opened, or none was given back in time; `lifecycle`: stopped, or
   *   aborted
   */
  async take(signal?: AbortSignal): Promise<SingleConnection> {
    if (this.#stopping) throw stopped()
    if (signal?.aborted) throw givenUp(signal.reason)
    let onAbort = () => {}
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<SingleConnection>((give, refuse) => {
        const waiter = { give, refuse }
        this.#waiters.add(waiter)
        timer = setTimeout(() => this.#refuse(waiter, noneFree()), WAIT_TIMEOUT_MS)
        onAbort = () => this.#refuse(waiter, givenUp(signal?.reason))
        signal?.addEventListener('abort', onAbort)
        this.#serve()
      })
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  giveBack(connection: SingleConnection): void {
    this.#lent.delete(connection)
    if (this.#stopping || !connection.reusable || connection.ageMs > AGE_MS_MAX) {
      this.#close(connection)
    } else {
      this.#free.push(connection)
    }
    if (this.#lent.size === 0) this.#onIdle()
    this.#serve()
  }

  /** Waits for those who have a connection, a while; then takes it from them. Never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#end()
    return this.#stopping
  }

  async #end(): Promise<void> {
    this.#stop.abort(stopped())
    for (const waiter of this.#waiters) this.#refuse(waiter, stopped())
    for (const connection of this.#free.splice(0)) this.#close(connection)
    if (this.#lent.size > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(done => {
        this.#onIdle = done
        timer = setTimeout(done, STOP_TIMEOUT_MS)
      })
      clearTimeout(timer)
    }
    for (const connection of this.#lent) connection.lose(stopped())
    await Promise.all(this.#closing)
  }

  /** Gives what is free to those who wait, in turn, and opens what is missing. */
  #serve(): void {
    if (this.#stopping) return
    for (const waiter of this.#waiters) {
      const connection = this.#takeFree()
      if (!connection) break
      this.#lend(connection, waiter)
    }
    const open = this.#free.length + this.#lent.size
    const missing = Math.min(this.#waiters.size, this.#connectionsMax - open) - this.#opening
    for (let i = 0; i < missing; i++) void this.#open()
  }

  #takeFree(): SingleConnection | undefined {
    for (;;) {
      const connection = this.#free.pop()
      if (!connection?.lost) return connection
    }
  }

  async #open(): Promise<void> {
    this.#opening++
    let opened: SingleConnection | SluiceError
    try {
      opened = await SingleConnection.open(this.#options, this.#stop.signal)
    } catch (error) {
      opened = error as SluiceError
    }
    this.#opening--
    const [waiter] = this.#waiters
    if (opened instanceof SingleConnection) {
      if (waiter && !this.#stopping) this.#lend(opened, waiter)
      else this.giveBack(opened)
    } else if (waiter) {
      this.#refuse(waiter, opened)
      this.#serve()
    }
  }

  #close(connection: SingleConnection): void {
    const closing = connection.close()
    this.#closing.add(closing)
    void closing.finally(() => this.#closing.delete(closing))
  }

  #refuse(waiter: Waiter, error: SluiceError): void {
    this.#waiters.delete(waiter)
    waiter.refuse(error)
  }

  #lend(connection: SingleConnection, waiter: Waiter): void {
    this.#waiters.delete(waiter)
    this.#lent.add(connection)
    waiter.give(connection)
  }
}

function stopped(): SluiceError {
  return new SluiceError('lifecycle', 'the transaction pool is stopped')
}

function noneFree(): SluiceError {
  return new SluiceError(
    'database',
    `no connection for a transaction became free within ${WAIT_TIMEOUT_MS} ms: more connections, or shorter handlers`,
    { retryable: true },
  )
}
