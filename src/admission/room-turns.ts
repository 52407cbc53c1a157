import { CommitInDoubt } from '../consumer/delivery-store.ts'
import type { Tx } from '../consumer/tx.ts'
import { SluiceError } from '../errors.ts'
import { Gathering } from '../internal/gathering.ts'
import { NotCommitted } from '../postgres/transaction.ts'
import type { TransactionPool } from '../postgres/transaction-pool.ts'
import { type TakeTurn, type TurnReport, takeTurn } from './room-turn.ts'
import { TooBusy } from './too-busy.ts'

/** Told of a turn that was committed. It must not throw. */
export type TurnListener = (eventId: string, report: TurnReport) => void

export interface RoomTurnsOptions {
  readonly pool: TransactionPool
  /** Null: changes are not told. */
  readonly changesTopic: string | null
  readonly onTurn?: TurnListener
}

/** Sessions that leave in one turn, at most. */
const LEAVING_MAX = 1_000
const WAITING_MAX = 20_000
/** Turns one after the other while there is more to do; the keeper goes on with the rest. */
const TURNS_MAX = 20
const TRIES_MAX = 5

/** Turns of this process, each in a transaction of its own. Of one room one at a time: who comes meanwhile shares the next. */
export class RoomTurns {
  readonly #options: RoomTurnsOptions
  readonly #rooms = new Map<string, Gathering<string | null, null>>()
  #stopped = false

  constructor(options: RoomTurnsOptions) {
    this.#options = options
  }

  /**
   * Takes a turn that begins after this call, and further ones while there is more to do, a bounded number.
   * @param leaving a session that ends in it
   * @throws SluiceError `database`, TooBusy
   */
  async take(eventId: string, leaving: string | null = null): Promise<void> {
    if (this.#stopped) throw new SluiceError('lifecycle', 'taking turns: stopped')
    const room = this.#rooms.get(eventId) ?? this.#gather(eventId)
    try {
      await room.add(leaving)
    } finally {
      if (room.idle && this.#rooms.get(eventId) === room) this.#rooms.delete(eventId)
    }
  }

  /** One turn of its own. @throws SluiceError `database` */
  async once(eventId: string, work: Omit<TakeTurn, 'changesTopic'> = {}): Promise<TurnReport> {
    return this.within('taking a turn', eventId, async () => {}, work)
  }

  /**
   * A turn together with another change of the room, which comes first and may be repeated.
   * @throws SluiceError `database`, or what `change` throws as SluiceError
   */
  async within(
    what: string,
    eventId: string,
    change: (tx: Tx) => Promise<void>,
    work: Omit<TakeTurn, 'changesTopic'> = {},
  ): Promise<TurnReport> {
    const { pool, changesTopic, onTurn } = this.#options
    const report = await committed(what, () =>
      pool.transaction(async tx => {
        await change(tx)
        return takeTurn(tx, eventId, { ...work, changesTopic })
      }),
    )
    onTurn?.(eventId, report)
    return report
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all([...this.#rooms.values()].map(room => room.stop()))
  }

  #gather(eventId: string): Gathering<string | null, null> {
    const room = new Gathering<string | null, null>({
      what: 'taking a turn',
      batchMax: LEAVING_MAX,
      batchesMax: 1,
      waitingMax: WAITING_MAX,
      onFull: () =>
        new TooBusy(`more than ${WAITING_MAX} sessions wait for their room's turn`, 1_000),
      run: async items => {
        await this.#turns(eventId, items)
        return items.map(() => null)
      },
    })
    this.#rooms.set(eventId, room)
    return room
  }

  async #turns(eventId: string, items: readonly (string | null)[]): Promise<void> {
    const leaving = items.filter(id => id !== null)
    let { more } = await this.once(eventId, { leaving })
    for (let turn = 1; more && turn < TURNS_MAX && !this.#stopped; turn++) {
      more = (await this.once(eventId)).more
    }
  }
}

/** Repeats what is safe to be repeated: a turn that was committed finds nothing left to do. */
async function committed<T>(what: string, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (error instanceof SluiceError) throw error
      if (tries < TRIES_MAX && mayPass(error)) continue
      throw new SluiceError('database', `${what} failed`, { cause: error, retryable: true })
    }
  }
}

/** Deadlocks and the like, and a commit whose answer was lost. */
function mayPass(error: unknown): boolean {
  if (error instanceof CommitInDoubt) return true
  const cause = error instanceof NotCommitted ? error.cause : error
  const code = String((cause as { code?: unknown } | null)?.code)
  return code === '40001' || code === '40P01'
}
