import type { Kafka } from 'kafkajs'
import type postgres from 'postgres'
import { disconnect } from '../../../src/demo/kafka.ts'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { pause } from '../../../src/internal/pause.ts'
import { connect } from '../campaign/stage.ts'
import { type GroupOffset, groupOffsets } from './group-offsets.ts'
import type { ConsumerHistory } from './history.ts'
import type { Producing } from './producing.ts'
import { brokenKeys } from './room-look.ts'
import type { ConsumerStage } from './stage.ts'

const EVERY_MS = 400
/** postgres.js 3.4.9 may never answer what was asked when the server went down. */
const ANSWER_MS = 15_000

export interface WatchingParts {
  readonly stage: ConsumerStage
  readonly kafka: Kafka
  readonly producing: Producing
  readonly history: ConsumerHistory
}

/** Looks again and again, at moments of chance, at what must hold at every moment. */
export class Watching {
  readonly #parts: WatchingParts
  readonly #sql: postgres.Sql
  readonly #stop = new AbortController()
  readonly #looking: Promise<unknown>
  /** Up to where the inbox was found to have all: group and place → offset. */
  readonly #checked = new Map<string, number>()
  #offsets = 0
  #rooms = 0

  constructor(parts: WatchingParts) {
    this.#parts = parts
    this.#sql = connect(parts.stage.directUrl)
    this.#looking = Promise.all([this.#watchOffsets(), this.#watchRoom()])
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#looking
    await this.#sql.end({ timeout: 1 })
    this.#parts.history.tell({ kind: 'looked', offsets: this.#offsets, rooms: this.#rooms })
  }

  async #watchOffsets(): Promise<void> {
    const { stage, kafka } = this.#parts
    const { signal } = this.#stop
    let admin = kafka.admin()
    while (!signal.aborted) {
      try {
        await admin.connect()
        for (const group of stage.groups) {
          const offsets = await groupOffsets(admin, group, Object.keys(stage.topics))
          for (const offset of offsets) await answered(this.#look(group, offset))
        }
        this.#offsets++
      } catch {
        // The broker or the database is down: what matters then is seen afterwards.
        await disconnect(admin)
        admin = kafka.admin()
      }
      await pause(EVERY_MS, signal)
    }
    await disconnect(admin)
  }

  /** The database is asked after the coordinator: what was committed there must be in the inbox by now. */
  async #look(group: string, { topic, partition, committed }: GroupOffset): Promise<void> {
    const place = `${topic}/${partition}`
    const name = `${group} ${place}`
    const ids: string[] = []
    const acknowledged = this.#parts.producing.acknowledged.get(place)
    for (let offset = this.#checked.get(name) ?? 0; offset < committed; offset++) {
      const id = acknowledged?.get(offset)
      if (id !== undefined) ids.push(id)
    }
    const missing = await this.#sql<{ id: string }[]>`
      select d.id from json_array_elements_text(${JSON.stringify(ids)}::text::json) as d (id)
      where not exists (
        select from waiting_room.inbox i where i.group_id = ${group} and i.message_id = d.id
      )`
    this.#checked.set(name, committed)
    const unclaimed = missing.map(({ id }) => id)
    const seen = { group, topic, partition, committed, unclaimed }
    this.#parts.history.tell({ kind: 'offset', atMs: Date.now(), ...seen })
  }

  async #watchRoom(): Promise<void> {
    const { history, stage } = this.#parts
    while (!this.#stop.signal.aborted) {
      try {
        const broken = await answered(brokenKeys(this.#sql, stage.name))
        for (const { group_id: group, what } of broken) {
          history.tell({ kind: 'room_broken', atMs: Date.now(), group, what })
        }
        this.#rooms++
      } catch {
        // As above.
      }
      await pause(EVERY_MS, this.#stop.signal)
    }
  }
}

function answered<T>(asked: Promise<T>): Promise<T> {
  return withDeadline(asked, ANSWER_MS, () => new Error('the database does not answer'))
}
