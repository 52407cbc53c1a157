import type { Command } from 'commander'
import { type DeadFilter, listDeadLetters, showDeadLetter } from '../operator/dead-letters.ts'
import { withOutbox } from '../operator/outbox-access.ts'
import type { CliContext } from './context.ts'
import { registerDiscard } from './dead-discard.ts'
import { addFilterFlags, type FilterFlags, filterOf } from './dead-filter.ts'
import { registerRequeue } from './dead-requeue.ts'
import { printDeadDetail, printDeadList } from './dead-text.ts'
import { EXIT_FATAL } from './exit-code.ts'
import { eitherId, wholeNumber } from './operator-flags.ts'
import { jsonText } from './table.ts'

const LIST_MAX = 1_000

export function register(program: Command, context: CliContext): void {
  const dead = program
    .command('dead')
    .description('events that will not be published: list, show, requeue, discard')
  registerList(dead, context)
  registerShow(dead, context)
  registerRequeue(dead, context)
  registerDiscard(dead, context)
}

type ListFlags = FilterFlags & {
  readonly reason?: string
  readonly limit: number
  readonly json?: true
}

function registerList(dead: Command, context: CliContext): void {
  addFilterFlags(dead.command('list').description('the newest first, never their payloads'))
    .option('--reason <code>', 'the same as --dead-reason')
    .option('--limit <n>', 'rows shown', wholeNumber(1, LIST_MAX), 50)
    .option('--json', 'print JSON')
    .action(async ({ limit, json, reason, ...flags }: ListFlags) => {
      const { databaseUrl } = context.loadOptions()
      const list = await withOutbox(databaseUrl, 'dead list', async outbox => {
        const named = reason === undefined ? flags : { ...flags, deadReason: reason }
        return listDeadLetters(outbox, await filterOf(outbox, named, []), limit)
      })
      context.stdout.write(json ? jsonText(list) : printDeadList(list))
    })
}

function registerShow(dead: Command, context: CliContext): void {
  dead
    .command('show')
    .description('everything about one, with every refusal')
    .argument('<id>', 'outbox id or event id', eitherId)
    .option('--payload', 'its payload too, up to 16 KiB')
    .option('--json', 'print JSON')
    .action(async (id: string, flags: { payload?: true; json?: true }) => {
      const found = await withOutbox(context.loadOptions().databaseUrl, 'dead show', outbox =>
        showDeadLetter(outbox, { ...ANY, ids: [id] }, flags.payload ?? false),
      )
      if (found.length === 0) {
        context.stderr.write(`sluice: ${id} is not among the dead letters\n`)
        context.setExitCode(EXIT_FATAL)
        return
      }
      const text = found.map(printDeadDetail).join('\n')
      context.stdout.write(flags.json ? jsonText(found.length === 1 ? found[0] : found) : text)
    })
}

const ANY: DeadFilter = {
  ids: null,
  topic: null,
  key: null,
  reason: null,
  since: null,
  until: null,
}
