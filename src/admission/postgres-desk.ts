import type { Database } from '../postgres/database.ts'
import type { TransactionPool } from '../postgres/transaction-pool.ts'
import type { AdmissionDesk } from './admission-desk.ts'
import { JoinDesk } from './join-desk.ts'
import type { Room, RoomSettings } from './room.ts'
import { RoomBoard } from './room-board.ts'
import { RoomDesk } from './room-desk.ts'
import { RoomTurns, type TurnListener } from './room-turns.ts'
import type { Joined, JoinRequest, Session } from './session.ts'
import { SessionDesk } from './session-desk.ts'

export interface PostgresDeskOptions {
  readonly database: Database
  readonly pool: TransactionPool
  readonly joinsTopic: string
  /** Null: changes are not told. */
  readonly changesTopic: string | null
  /** Null: rooms are not made by joining. */
  readonly capacityOfNewRooms: number | null
  /** Joins that wait to be written, at most. Default 10,000. */
  readonly joinsWaitingMax?: number
  /** Told of each turn of this desk that was committed. */
  readonly onTurn?: TurnListener
}

const JOINS_WAITING_MAX = 10_000

/** The desk on PostgreSQL; any number of them, in any processes, serve the same rooms. The caller owes `stop`. */
export class PostgresDesk implements AdmissionDesk {
  readonly #board: RoomBoard
  readonly #turns: RoomTurns
  readonly #joins: JoinDesk
  readonly #sessions: SessionDesk
  readonly #rooms: RoomDesk

  constructor({ joinsWaitingMax = JOINS_WAITING_MAX, ...options }: PostgresDeskOptions) {
    const { database } = options
    const board = new RoomBoard(database)
    const turns = new RoomTurns(options)
    this.#board = board
    this.#turns = turns
    this.#joins = new JoinDesk({ ...options, joinsWaitingMax })
    this.#sessions = new SessionDesk({ database, board, turns })
    this.#rooms = new RoomDesk({ database, board, turns })
  }

  join(request: JoinRequest): Promise<Joined> {
    return this.#joins.join(request)
  }

  look(sessionId: string): Promise<Session | null> {
    return this.#sessions.look(sessionId)
  }

  heartbeat(sessionId: string): Promise<Session | null> {
    return this.#sessions.heartbeat(sessionId)
  }

  leave(sessionId: string): Promise<Session | null> {
    return this.#sessions.leave(sessionId)
  }

  room(eventId: string): Promise<Room | null> {
    return this.#rooms.room(eventId)
  }

  rooms(after?: string): Promise<readonly Room[]> {
    return this.#rooms.rooms(after)
  }

  setRoom(eventId: string, settings: Partial<RoomSettings>): Promise<Room> {
    return this.#rooms.setRoom(eventId, settings)
  }

  pauseRoom(eventId: string, paused: boolean): Promise<Room | null> {
    return this.#rooms.pauseRoom(eventId, paused)
  }

  /** Refuses what waits, and ends with what is in work. Safe to call twice; never rejects. */
  async stop(): Promise<void> {
    await Promise.all([this.#joins.stop(), this.#sessions.stop()])
    await Promise.all([this.#turns.stop(), this.#board.stop()])
  }
}
