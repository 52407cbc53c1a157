import type { Handler } from '../consumer/bus.ts'
import type { ConsumerListener } from '../consumer/consumer-events.ts'
import { DONE } from '../consumer/outcome.ts'
import type { Tx } from '../consumer/tx.ts'
import { SluiceError } from '../errors.ts'
import { applyTaskEvent } from './apply-task-event.ts'
import type { ControlMessage } from './control-codec.ts'
import { applyCommand } from './task-commands.ts'

export interface ControlStreamOptions {
  /** Whose waiting room it is; what others are told is passed over. */
  readonly group: string
  readonly controlTopic: string | null
  readonly onEvent: ConsumerListener
  /** Something may be due, held or resumed now. Called before the commit: look a moment later, or again. */
  readonly onChange?: () => void
}

/** Classes of SQLSTATE by which PostgreSQL refuses a value, and would again. */
const VALUE_REFUSED = /^(?:22|23|54)...$/

/** It means nothing, and never will. */
class Refused extends Error {
  override readonly name = 'Refused'
}

/**
 * The handler of the control topic for one group, to be subscribed with `CONTROL_CODEC` and `CONTROL_ENVELOPE`. Commands
 * are applied in the transaction that remembers them, so each takes effect once. What cannot be read or means nothing is
 * told and passed over.
 * @throws SluiceError `database`, and nothing else: there is no one to handle a retry of its records
 */
export function controlHandler(options: ControlStreamOptions): Handler<ControlMessage> {
  const { group, onEvent, onChange = () => {} } = options
  return async ({ id: messageId, value }, { sql }) => {
    if (isForeign(value, group)) return DONE
    try {
      if (await apply(sql, options, value)) onChange()
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      onEvent({ kind: 'bad_command', group, messageId, reason: error.message })
    }
    return DONE
  }
}

function isForeign(message: ControlMessage, group: string): boolean {
  const addressee = message.kind === 'event' ? message.event.group : message.group
  return addressee !== undefined && addressee !== group
}

/** @returns whether anything may have changed */
async function apply(
  sql: Tx,
  { group, controlTopic, onEvent }: ControlStreamOptions,
  message: ControlMessage,
): Promise<boolean> {
  if (message.kind === 'bad') throw new Refused(message.reason)
  if (message.kind === 'event') {
    return undoable(sql, tx => applyTaskEvent(tx, { group, controlTopic }, message.event))
  }
  const { command } = message
  if (message.group === undefined) throw new Refused('it names no group: give header twr-group')
  const tasks = await undoable(sql, tx => applyCommand(tx, group, command, controlTopic))
  onEvent({ kind: 'command_applied', group, command: command.type, tasks })
  return true
}

/** What is refused leaves the transaction as it was, so that the record is remembered all the same. */
async function undoable<T>(sql: Tx, work: (tx: Tx) => Promise<T>): Promise<T> {
  try {
    return await sql.savepoint(work)
  } catch (error) {
    const reason = refusalOf(error)
    if (reason !== null) throw new Refused(reason, { cause: error })
    throw new SluiceError('database', 'applying a control message failed', {
      cause: error,
      retryable: true,
    })
  }
}

function refusalOf(error: unknown): string | null {
  if (error instanceof SluiceError) return error.code === 'options' ? error.message : null
  if (error instanceof TypeError || error instanceof RangeError) return error.message
  const code = String((error as { code?: unknown } | null)?.code)
  return VALUE_REFUSED.test(code) ? `PostgreSQL refused a value of it (${code})` : null
}
