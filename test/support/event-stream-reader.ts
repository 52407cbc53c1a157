import { type IncomingMessage, request } from 'node:http'
import { withDeadline } from '../../src/internal/deadline.ts'
import { type Door, SESSIONS } from './admission-door.ts'
import { cleanup } from './cleanup.ts'
import type { Scope } from './parts.ts'
import { until } from './until.ts'

/** One of a session's events, as a browser reads it. */
export interface ServerEvent {
  readonly id: string
  readonly event: string
  readonly data: {
    readonly status: string
    readonly position: number | null
    readonly token: string | null
    readonly leaseUntil: string | null
  }
}

/** An event stream that is being read. */
export class EventStreamReader {
  readonly response: IncomingMessage
  text = ''
  ended = false

  constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      this.text += chunk
    })
    response.on('end', () => {
      this.ended = true
    })
    response.on('error', () => {})
  }

  /** As a browser would read them. */
  get events(): ServerEvent[] {
    return this.text
      .split('\n\n')
      .slice(0, -1)
      .filter(block => block.includes('event: '))
      .map(block => {
        const lines = block.split('\n').map(line => /^(\w+): (.*)$/.exec(line) ?? [])
        const field = (name: string) => lines.find(([, known]) => known === name)?.[2] ?? ''
        return { id: field('id'), event: field('event'), data: JSON.parse(field('data')) }
      })
  }

  get names(): string[] {
    return this.events.map(({ event }) => event)
  }

  until(predicate: (stream: EventStreamReader) => boolean, what: string): Promise<void> {
    return until(() => predicate(this), { deadlineMs: 10_000, what })
  }
}

/** Opens the event stream of a session; closed after the test. */
export function follow(
  t: Scope,
  { server }: Door,
  sessionId: string,
  headers = {},
): Promise<EventStreamReader> {
  const url = `http://${server.address}${SESSIONS}/${sessionId}/events`
  const asking = request(url, { headers, agent: false })
  cleanup(t, () => {
    asking.destroy()
  })
  const answered = new Promise<EventStreamReader>((resolve, reject) => {
    asking.on('response', response => resolve(new EventStreamReader(response)))
    asking.on('error', reject)
  })
  asking.end()
  return withDeadline(answered, 10_000, () => new Error('the stream was not answered in time'))
}
