import type { Command } from 'commander'
import { SluiceError } from '../errors.ts'
import type { DeadFilter } from '../operator/dead-letters.ts'
import { databaseNow, instantOf, type Moment } from '../operator/moment.ts'
import type { OutboxAccess } from '../operator/outbox-access.ts'
import { moment } from './operator-flags.ts'

/** Flags that pick dead letters. */
export interface FilterFlags {
  readonly topic?: string
  readonly key?: string
  readonly deadReason?: string
  readonly since?: Moment
  readonly until?: Moment
  readonly all?: true
}

/** Adds the flags of `FilterFlags`, but for `--all`. */
export function addFilterFlags(command: Command): Command {
  return command
    .option('--topic <topic>', 'only of this topic')
    .option('--key <key>', 'only with this key')
    .option('--dead-reason <code>', 'only those that died of this, such as message_too_large')
    .option('--since <when>', 'only those that died since: 2h, 7d, or an instant', moment)
    .option('--until <when>', 'only those that died before', moment)
}

/** @param ids outbox and event ids; empty: not picked one by one */
export async function filterOf(
  outbox: OutboxAccess,
  flags: FilterFlags,
  ids: readonly string[],
): Promise<DeadFilter> {
  const now = await databaseNow(outbox)
  return {
    ids: ids.length > 0 ? ids : null,
    topic: flags.topic ?? null,
    key: flags.key ?? null,
    reason: flags.deadReason ?? null,
    since: flags.since ? instantOf(flags.since, now) : null,
    until: flags.until ? instantOf(flags.until, now) : now,
  }
}

/**
 * Everything must be meant: ids, a filter, or `--all`.
 * @throws SluiceError `options`
 */
export function refuseVague(flags: FilterFlags, ids: readonly string[]): void {
  const { topic, key, deadReason, since, until, all } = flags
  const filtered = [topic, key, deadReason, since, until].some(given => given !== undefined)
  if (ids.length > 0 && (filtered || all)) {
    throw new SluiceError('options', 'give ids or a filter, not both')
  }
  if (all && filtered) throw new SluiceError('options', 'give a filter or --all, not both')
  if (ids.length === 0 && !filtered && !all) {
    const message =
      'give ids, a filter (--topic, --key, --dead-reason, --since, --until), or --all; --reason says why you do it and picks nothing'
    throw new SluiceError('options', message)
  }
}
