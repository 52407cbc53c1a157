import { seededRandom } from '../../../src/demo/random.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { DoorClient } from './door-client.ts'

export interface OperatorOptions {
  readonly client: DoorClient
  readonly bearer: string
  readonly rooms: readonly string[]
  readonly capacity: number
  readonly seed: number
  /** Default 60. */
  readonly waitGraceSeconds?: number
}

const EVERY_MS = { min: 800, max: 4_000 }
const PAUSED_MS_MAX = 1_500
const PAUSES = 0.25
const NEVER = new AbortController().signal

export const ROOM_SETTINGS = { leaseSeconds: 3, claimSeconds: 3, waitGraceSeconds: 60 }

/** Changes the capacities of the rooms up and down, and pauses them for a moment; in the end all is as it was. */
export class Operator {
  readonly #options: OperatorOptions
  readonly #stop = new AbortController()
  #working: Promise<void> | null = null

  constructor(options: OperatorOptions) {
    this.#options = options
  }

  /** Makes the rooms. */
  async open(): Promise<void> {
    const { rooms, capacity, waitGraceSeconds = ROOM_SETTINGS.waitGraceSeconds } = this.#options
    const settings = { capacity, ...ROOM_SETTINGS, waitGraceSeconds }
    for (const room of rooms) await this.#set(room, settings)
  }

  start(): void {
    this.#working ??= this.#work()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#working
    const { rooms, capacity } = this.#options
    for (const room of rooms) {
      await this.#set(room, { capacity })
      await this.#order(room, 'resume')
    }
  }

  async #work(): Promise<void> {
    const { rooms, capacity, seed } = this.#options
    const { signal } = this.#stop
    const random = seededRandom(seed + 1)
    while (!signal.aborted) {
      await pause(EVERY_MS.min + random() * (EVERY_MS.max - EVERY_MS.min), signal)
      if (signal.aborted) return
      const room = rooms[Math.floor(random() * rooms.length)] as string
      if (random() < PAUSES) {
        await this.#order(room, 'pause')
        await pause(random() * PAUSED_MS_MAX, signal)
        await this.#order(room, 'resume')
      } else {
        await this.#set(room, { capacity: Math.max(1, Math.round(capacity * (0.5 + random()))) })
      }
    }
  }

  async #set(room: string, body: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#ask('PUT', `/api/waiting-room/rooms/${room}`, body)
  }

  async #order(room: string, what: 'pause' | 'resume'): Promise<void> {
    await this.#ask('POST', `/api/waiting-room/rooms/${room}/${what}`)
  }

  async #ask(method: 'PUT' | 'POST', path: string, body?: Readonly<Record<string, unknown>>) {
    const { client, bearer } = this.#options
    const answer = await client.ask({ method, path, bearer, door: 0, ...(body && { body }) }, NEVER)
    if (answer?.status !== 200) {
      throw new Error(`${method} ${path} was answered ${answer?.status} ${answer?.body.type}`)
    }
  }
}
