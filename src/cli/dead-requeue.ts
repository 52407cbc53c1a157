import type { Command } from 'commander'
import type { DeadFilter } from '../operator/dead-letters.ts'
import { requeueDeadLetters } from '../operator/dead-moves.ts'
import { findLaterEvents, type LaterEvents } from '../operator/key-order.ts'
import { type OutboxAccess, withOutbox } from '../operator/outbox-access.ts'
import type { CliContext } from './context.ts'
import { addFilterFlags, type FilterFlags, filterOf, refuseVague } from './dead-filter.ts'
import { type DeadPlan, notFound, planFor, printPlan } from './dead-plan.ts'
import { printLater } from './dead-text.ts'
import { EXIT_FATAL } from './exit-code.ts'
import {
  type ActFlags,
  addActFlags,
  collected,
  eitherId,
  howToDoIt,
  mandateOf,
} from './operator-flags.ts'
import { counted, jsonText } from './table.ts'

interface Flags extends ActFlags, FilterFlags {
  /** false: lift the time to live. */
  readonly expiry: boolean
}

export function registerRequeue(dead: Command, context: CliContext): void {
  const command = dead
    .command('requeue')
    .description('publish them after all: back into the outbox, each under its own id')
    .argument('[ids...]', 'outbox ids or event ids', collected(eitherId))
    .option('--all', 'every dead letter')
    .option('--no-expiry', 'lift the time to live of those whose time has passed')
  addActFlags(addFilterFlags(command), 'why; needed with a filter or --all').action(
    async (ids: string[] | undefined, flags: Flags) => {
      refuseVague(flags, ids ?? [])
      const bulk = (ids ?? []).length === 0
      if (flags.yes) mandateOf(flags, bulk)
      await withOutbox(context.loadOptions().databaseUrl, 'dead requeue', async outbox => {
        const filter = await filterOf(outbox, flags, ids ?? [])
        const plan = await planFor(outbox, filter)
        const later = await findLaterEvents(outbox, filter)
        if (flags.yes) await act(context, outbox, { filter, flags, plan, later, bulk })
        else context.stdout.write(printDryRun(plan, later, flags, bulk))
      })
    },
  )
}

function printDryRun(plan: DeadPlan, later: LaterEvents, flags: Flags, bulk: boolean): string {
  if (flags.json) return jsonText({ dry_run: true, ...plan, later_events: later })
  const stay = flags.expiry ? plan.expired : 0
  const text = printPlan('requeue', plan) + printExpired(stay, false) + printLater(later)
  return plan.matching === 0 ? text : text + howToDoIt(bulk, flags)
}

interface Deed {
  readonly filter: DeadFilter
  readonly flags: Flags
  readonly plan: DeadPlan
  readonly later: LaterEvents
  readonly bulk: boolean
}

async function act(
  context: CliContext,
  outbox: OutboxAccess,
  { filter, flags, plan, later, bulk }: Deed,
): Promise<void> {
  const mandate = mandateOf(flags, bulk)
  const moved = await requeueDeadLetters(outbox, filter, { liftExpiry: !flags.expiry, mandate })
  const left = (await planFor(outbox, filter)).expired
  if (flags.json) {
    const result = { requeued: moved.events, transactions: moved.transactions, expired: left }
    const { not_found } = plan
    context.stdout.write(jsonText({ dry_run: false, ...result, not_found, later_events: later }))
  } else {
    const done = `Requeued ${counted(moved.events, 'event')}.\n`
    const missing = notFound(plan.not_found)
    context.stdout.write(
      done + printExpired(left, true) + (missing && `${missing}\n`) + printLater(later),
    )
  }
  if (plan.not_found.length > 0 || (!bulk && left > 0)) context.setExitCode(EXIT_FATAL)
}

function printExpired(events: number, done: boolean): string {
  if (events === 0) return ''
  const stay = done ? 'stayed' : 'would stay'
  return `${counted(events, 'event')} whose time to live has passed ${stay}: --no-expiry lifts it.\n`
}
