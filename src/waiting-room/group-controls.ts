import { hostname } from 'node:os'
import type { HoldTarget, Subscription } from '../consumer/bus.ts'
import { SluiceError } from '../errors.ts'
import type { TransactionPool } from '../postgres/transaction-pool.ts'
import type { TaskCommand } from './control-event.ts'
import { applyCommand } from './task-commands.ts'

export interface GroupControlsParts {
  readonly pool: TransactionPool
  readonly group: string
  readonly controlTopic: string | null
  /** Called once something was changed; waited for. */
  readonly changed: () => Promise<void>
}

/** What the owner of a subscription may do to its group, for all its members: as operators do by the CLI. */
export class GroupControls implements Pick<Subscription, 'pause' | 'resume'> {
  readonly #parts: GroupControlsParts
  readonly #actor = `consumer ${hostname()}-${process.pid}`

  constructor(parts: GroupControlsParts) {
    this.#parts = parts
  }

  async pause(target: HoldTarget, { reason, until }: { reason: string; until?: Date }) {
    await this.#apply({
      type: 'twr.command.pause',
      target: commandTarget(target),
      ...(until && { until: until.toISOString() }),
      actor: this.#actor,
      reason,
    })
  }

  async resume(target: HoldTarget) {
    await this.#apply({
      type: 'twr.command.resume',
      target: commandTarget(target),
      actor: this.#actor,
      reason: 'resumed by its owner',
    })
  }

  async #apply(command: TaskCommand): Promise<void> {
    const { pool, group, controlTopic, changed } = this.#parts
    await pool.transaction(tx => applyCommand(tx, group, command, controlTopic))
    await changed()
  }
}

function commandTarget({ topic, partition, key }: HoldTarget) {
  if (key === null) {
    throw new SluiceError('options', 'key is null: records without a key wait for none of theirs')
  }
  return {
    ...(topic !== undefined && { topic }),
    ...(partition !== undefined && { partition }),
    ...(key !== undefined && { key }),
  }
}
