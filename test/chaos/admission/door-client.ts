import { Agent, request } from 'node:http'
import { pause } from '../../../src/internal/pause.ts'

export interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

export interface Asked {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly body?: Readonly<Record<string, unknown>>
  readonly bearer?: string
  /** Which door is asked first. */
  readonly door: number
}

interface Door {
  readonly address: URL
  readonly agent: Agent
}

const CONNECTIONS_MAX = 48
const ANSWER_MS = 12_000
const AGAIN_MS = { min: 40, max: 600 }

/** Asks the processes of admission over connections that are kept. */
export class DoorClient {
  readonly #doors: readonly Door[]
  /** Requests that had no answer, or one that asks to come again, by what they had. */
  readonly repeated: Record<string, number> = {}

  constructor(addresses: readonly string[]) {
    this.#doors = addresses.map(address => ({
      address: new URL(address),
      agent: new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX, scheduling: 'fifo' }),
    }))
  }

  close(): void {
    for (const { agent } of this.#doors) agent.destroy()
  }

  /** Asks one door after the other until one answers for good: not 429, nor 5xx. Null: aborted. */
  async ask(asked: Asked, signal: AbortSignal): Promise<Answer | null> {
    let waitMs = AGAIN_MS.min
    for (let door = asked.door; !signal.aborted; door++) {
      const answer = await this.once({ ...asked, door }).catch(codeOf)
      if (typeof answer === 'object' && answer.status !== 429 && answer.status < 500) return answer
      const had = typeof answer === 'object' ? answer.status : answer
      this.repeated[had] = (this.repeated[had] ?? 0) + 1
      await pause(waitMs * (0.5 + Math.random()), signal)
      waitMs = Math.min(AGAIN_MS.max, waitMs * 2)
    }
    return null
  }

  /** @throws when the connection breaks or the answer does not come in time */
  once({ method, path, body, bearer, door }: Asked): Promise<Answer> {
    const { address, agent } = this.#doors[door % this.#doors.length] as Door
    const text = body === undefined ? '' : JSON.stringify(body)
    const headers: Record<string, string | number> = {
      ...(body && { 'content-type': 'application/json' }),
      ...(method === 'GET' ? {} : { 'content-length': Buffer.byteLength(text) }),
      ...(bearer && { authorization: `Bearer ${bearer}` }),
    }
    return new Promise((settle, reject) => {
      const signal = AbortSignal.timeout(ANSWER_MS)
      const { hostname: host, port } = address
      const sent = request({ host, port, method, path, headers, agent, signal }, answer => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.once('error', reject)
        answer.once('end', () => settle({ status: answer.statusCode ?? 0, body: parsed(chunks) }))
      })
      sent.once('error', reject)
      sent.end(text)
    })
  }
}

function codeOf(error: unknown): string {
  const { code, name } = error as { code?: string; name?: string }
  return String(code ?? name)
}

function parsed(chunks: readonly Buffer[]): Answer['body'] {
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as Answer['body']
  } catch {
    return {}
  }
}
