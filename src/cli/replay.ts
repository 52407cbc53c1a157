import type { Command } from 'commander'
import type { OutboxAccess } from '../operator/outbox-access.ts'
import { withOutbox } from '../operator/outbox-access.ts'
import { newRun, type ReplayOrder, replay } from '../operator/replay.ts'
import { readPublished } from '../operator/replay-selection.ts'
import type { CliContext } from './context.ts'
import { EXIT_FORCED } from './exit-code.ts'
import {
  addActFlags,
  collected,
  eventId,
  howToDoIt,
  mandateOf,
  moment,
  outboxId,
  topicName,
  wholeNumber,
} from './operator-flags.ts'
import { eventsPerSecond, type ReplayFlags, refuseVague } from './replay-flags.ts'
import { planReplay, type ReplayPlan } from './replay-plan.ts'
import { printReplayPlan } from './replay-text.ts'
import { counted, jsonText } from './table.ts'

const LIMIT_MAX = 1_000_000
const FIRST_ROWS = 5

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('replay')
    .description('publish events again, as new events with the header sluice-replay-of')
    .option('--id <id...>', 'by outbox id', collected(outboxId))
    .option('--event-id <uuid...>', 'by event id; looked for within --since', collected(eventId))
    .option('--topic <topic>', 'of this topic')
    .option('--key <key>', 'of this key; needs --topic')
    .option('--since <when>', 'published since: 2h, 7d, or an instant (ids, keys: 24h)', moment)
    .option('--until <when>', 'published before (default: now)', moment)
    .option('--to-topic <topic>', 'to another topic than the original one', topicName)
    .option('--rate <n/s>', 'events per second written to the outbox', eventsPerSecond)
    .option('--limit <n>', 'events at most; more are refused', wholeNumber(1, LIMIT_MAX), 10_000)
    .option('--resume <run>', 'go on with a run that stopped half-way', eventId)
  addActFlags(command, 'why').action(async (flags: ReplayFlags) => {
    refuseVague(flags)
    await withOutbox(context.loadOptions().databaseUrl, 'replay', async outbox => {
      const plan = await planReplay(outbox, flags)
      if (flags.yes && plan.places.length > 0) await act(context, outbox, flags, plan)
      else await show(context, outbox, flags, plan)
    })
  })
}

async function show(
  context: CliContext,
  outbox: OutboxAccess,
  flags: ReplayFlags,
  plan: ReplayPlan,
): Promise<void> {
  const first = await readPublished(outbox, plan.places.slice(0, FIRST_ROWS))
  if (flags.json) {
    const { places, earlier, filter, toTopic } = plan
    const again = places.filter(place => place.again).length
    const counts = { matching: places.length, replays_among_them: again, written_before: earlier }
    context.stdout.write(jsonText({ dry_run: true, ...counts, filter, to_topic: toTopic, first }))
    return
  }
  const last = plan.places.length === 0 || flags.yes ? '' : howToDoIt(false, flags)
  context.stdout.write(printReplayPlan(plan, first) + last)
}

/** A first Ctrl-C ends it after the transaction at hand. */
async function act(
  context: CliContext,
  outbox: OutboxAccess,
  flags: ReplayFlags,
  plan: ReplayPlan,
): Promise<void> {
  const run = flags.resume ?? newRun()
  const order: ReplayOrder = {
    ...plan,
    run,
    ratePerSecond: flags.rate ?? null,
    mandate: mandateOf(flags, false),
  }
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  for (const signal of SIGNALS) process.once(signal, onSignal)
  try {
    const done = await replay(outbox, order, stop.signal)
    const left = plan.places.length - done.events
    const result = { dry_run: false, run, replayed: done.events, left }
    const rest = left > 0 ? ` ${left} are left; go on with: --resume ${run} --yes` : ''
    const text = `Replayed ${counted(done.events, 'event')} (run ${run}).${rest}\n`
    context.stdout.write(flags.json ? jsonText(result) : text)
    if (stop.signal.aborted) context.setExitCode(EXIT_FORCED)
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
