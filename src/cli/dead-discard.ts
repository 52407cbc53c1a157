import type { Command } from 'commander'
import { discardDeadLetters } from '../operator/dead-moves.ts'
import { withOutbox } from '../operator/outbox-access.ts'
import type { CliContext } from './context.ts'
import { addFilterFlags, type FilterFlags, filterOf, refuseVague } from './dead-filter.ts'
import { type DeadPlan, notFound, planFor, printPlan } from './dead-plan.ts'
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

type Flags = ActFlags & FilterFlags

export function registerDiscard(dead: Command, context: CliContext): void {
  const command = dead
    .command('discard')
    .description('delete them for good; the audit keeps ids, topic, key and reason')
    .argument('[ids...]', 'outbox ids or event ids', collected(eitherId))
    .option('--all', 'every dead letter')
  addActFlags(addFilterFlags(command), 'why; needed').action(
    async (ids: string[] | undefined, flags: Flags) => {
      refuseVague(flags, ids ?? [])
      if (flags.yes) mandateOf(flags, true)
      await withOutbox(context.loadOptions().databaseUrl, 'dead discard', async outbox => {
        const filter = await filterOf(outbox, flags, ids ?? [])
        const plan = await planFor(outbox, filter)
        if (!flags.yes) {
          context.stdout.write(printDryRun(plan, flags))
          return
        }
        const moved = await discardDeadLetters(outbox, filter, mandateOf(flags, true))
        const { not_found } = plan
        const result = { dry_run: false, discarded: moved.events, transactions: moved.transactions }
        const missing = notFound(not_found)
        const text = `Discarded ${counted(moved.events, 'event')}.\n${missing && `${missing}\n`}`
        context.stdout.write(flags.json ? jsonText({ ...result, not_found }) : text)
        if (not_found.length > 0) context.setExitCode(EXIT_FATAL)
      })
    },
  )
}

function printDryRun(plan: DeadPlan, flags: Flags): string {
  if (flags.json) return jsonText({ dry_run: true, ...plan })
  const text = printPlan('discard', plan)
  if (plan.matching === 0) return text
  const lost = 'They are gone for good then, payloads included. Keys that they hold go on.\n'
  return text + lost + howToDoIt(true, flags)
}
