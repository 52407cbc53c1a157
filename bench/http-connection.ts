import { connect, type Socket } from 'node:net'

export interface HttpStep {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** JSON. */
  readonly body?: string
}

const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH = /^content-length: (\d+)/im

/** One kept connection, one request at a time: so little of HTTP that the load weighs little beside what it measures. */
export class HttpConnection {
  readonly #socket: Socket
  readonly #host: string
  #received: Buffer = Buffer.alloc(0)
  #settle: (status: number) => void = () => {}
  #reject: (error: Error) => void = () => {}

  private constructor(socket: Socket, host: string) {
    this.#socket = socket
    this.#host = host
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#receive(chunk))
    socket.on('error', error => this.#reject(error))
    socket.on('close', () => this.#reject(new Error('the server closed the connection')))
  }

  static async open(hostname: string, port: number): Promise<HttpConnection> {
    const socket = connect(port, hostname)
    await new Promise<void>((settle, reject) => {
      socket.once('connect', settle)
      socket.once('error', reject)
    })
    return new HttpConnection(socket, `${hostname}:${port}`)
  }

  close(): void {
    this.#socket.destroy()
  }

  /** @returns the status of the answer, once its body is here. @throws when the connection breaks */
  ask({ method, path, body }: HttpStep): Promise<number> {
    const type = body === undefined ? '' : 'content-type: application/json\r\n'
    const length = method === 'GET' ? '' : `content-length: ${Buffer.byteLength(body ?? '')}\r\n`
    const head = `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n${type}${length}\r\n`
    return new Promise((settle, reject) => {
      this.#settle = settle
      this.#reject = reject
      this.#socket.write(head + (body ?? ''))
    })
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    const end = this.#received.indexOf(HEAD_END)
    if (end < 0) return
    const head = this.#received.toString('latin1', 0, end)
    const bodyBytes = Number(LENGTH.exec(head)?.[1] ?? 0)
    if (this.#received.length < end + HEAD_END.length + bodyBytes) return
    this.#received = Buffer.alloc(0)
    // "HTTP/1.1 200 OK"
    this.#settle(Number(head.slice(9, 12)))
  }
}
