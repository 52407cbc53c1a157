import type { IdStore, LaneStart, WritersSeen } from '../../src/outbox/event-store.ts'
import type { Connection } from './connection.ts'
import type { World } from './world.ts'

/** What the statements of src/outbox/id-table.ts do. */
export class IdStatements implements IdStore {
  readonly #world: World
  readonly #replica: string
  readonly #connection: Connection

  constructor(world: World, replica: string, connection: Connection) {
    this.#world = world
    this.#replica = replica
    this.#connection = connection
  }

  async writers(): Promise<WritersSeen> {
    const { server, weather } = this.#world
    return this.#connection.run('writers', async transaction => {
      // None of the four is under a snapshot: what happens between them is seen by the later ones.
      const between = () => transaction.wait(weather.random() < 0.1 ? weather.random() * 20 : 0)
      const start = String(server.crashes)
      const lastId = BigInt(server.log.lastId)
      await between()
      const open = new Set(server.writers)
      await between()
      const position = BigInt(server.log.position)
      await between()
      const flushed = BigInt(server.log.flushed)
      return () => ({ lastId, open, server: start, position, flushed })
    })
  }

  async firstIds(lanes: readonly LaneStart[]): Promise<ReadonlyMap<number, bigint>> {
    const { server } = this.#world
    return this.#connection.run('firstIds', async () => {
      const found = new Map<number, bigint>()
      for (const { lane, fromId } of lanes) {
        for (const row of server.events.from(lane, Number(fromId))) {
          if (row.attempts > 0) continue
          found.set(lane, BigInt(row.id))
          break
        }
      }
      return () => found
    })
  }

  async keep(lanes: readonly LaneStart[]): Promise<void> {
    const { server } = this.#world
    await this.#connection.run('keep', async transaction => {
      const kept: (() => void)[] = []
      for (const { lane, epoch, fromId } of [...lanes].sort((a, b) => a.lane - b.lane)) {
        const row = server.lanes[lane]!
        const isToKeep = () =>
          row.owner === this.#replica && String(row.epoch) === epoch && row.lowWater !== fromId
        if (!isToKeep()) continue
        await transaction.lock(row, 'update')
        if (isToKeep()) {
          kept.push(() => {
            row.lowWater = fromId
          })
        }
      }
      return () => {
        for (const keep of kept) keep()
      }
    })
  }
}
