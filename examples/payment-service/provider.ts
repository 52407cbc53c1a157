import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The payment provider, which is down at first. It charges once for each idempotency key. */
export class Provider {
  readonly charges = new Map<string, number>()
  calls = 0
  #there = false
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<Provider> {
    const server = createServer()
    const provider = new Provider(server)
    server.on('request', async (request, response) => {
      if (!provider.#there) {
        response.writeHead(503).end()
        return
      }
      if (request.method === 'GET') {
        response.end()
        return
      }
      provider.calls++
      let body = ''
      for await (const chunk of request) body += chunk
      const { amount } = JSON.parse(body) as { amount: number }
      if (amount <= 0) response.writeHead(422)
      else provider.charges.set(String(request.headers['idempotency-key']), amount)
      response.end()
    })
    await new Promise<void>(settle => server.listen(0, '127.0.0.1', settle))
    return provider
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  comeUp(): void {
    this.#there = true
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(settle => this.#server.close(settle))
  }
}
