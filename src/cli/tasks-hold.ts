import { type Command, InvalidArgumentError } from 'commander'
import { SluiceError } from '../errors.ts'
import { databaseNow, type Moment, parseMoment } from '../operator/moment.ts'
import type { OutboxAccess } from '../operator/outbox-access.ts'
import { giveCommands } from '../operator/task-changes.ts'
import { readHolds } from '../operator/task-groups.ts'
import { withWaitingRoom } from '../operator/waiting-room-access.ts'
import type { TaskCommand } from '../waiting-room/control-event.ts'
import type { CliContext } from './context.ts'
import {
  type ActFlags,
  addActFlags,
  howToDoIt,
  mandateOf,
  shortText,
  topicName,
  wholeNumber,
} from './operator-flags.ts'
import { jsonText, plain } from './table.ts'
import {
  addPlacementFlags,
  authorOf,
  type PlacementFlags,
  placementOf,
  sentText,
} from './task-flags.ts'
import { holdName } from './tasks-text.ts'

interface Flags extends ActFlags, PlacementFlags {
  readonly group: string
  readonly topic?: string
  readonly partition?: number
  readonly key?: string
  readonly until?: Moment
}

type Verb = 'pause' | 'resume'

const PARTITION_MAX = 2_147_483_647

/** Adds `pause` and `resume`. */
export function registerTaskHolds(tasks: Command, context: CliContext): void {
  const pause = target(tasks, 'pause')
    .description('handle nothing of a group, a topic, a partition or a key until it is resumed')
    .option('--until <when>', 'an instant, or how long from now: 30m, 2h', ahead)
  const resume = target(tasks, 'resume').description('handle it again, from where it stopped')
  for (const [verb, command] of [
    ['pause', pause],
    ['resume', resume],
  ] as const) {
    const reason = verb === 'pause' ? 'why; needed, shown to everyone who wonders' : 'why'
    addPlacementFlags(addActFlags(command, reason)).action(async (flags: Flags) =>
      changeHold(context, verb, flags),
    )
  }
}

function target(tasks: Command, verb: Verb): Command {
  return tasks
    .command(verb)
    .requiredOption('--group <group>', 'the consumer group', shortText)
    .option('--topic <topic>', 'only this topic', topicName)
    .option('--partition <n>', 'only this partition of the topic', wholeNumber(0, PARTITION_MAX))
    .option('--key <key>', 'only this key of the topic')
}

async function changeHold(context: CliContext, verb: Verb, flags: Flags): Promise<void> {
  refuseOdd(flags)
  const mandate = mandateOf(flags, verb === 'pause' && flags.yes === true)
  const { databaseUrl } = context.loadOptions()
  const { group, topic, partition, key } = flags
  const name = holdName({ group, topic, partition, key })
  await withWaitingRoom(databaseUrl, `tasks ${verb}`, async database => {
    const until = flags.until && untilOf(flags.until, await databaseNow(database))
    if (!flags.yes) {
      // Read so that a missing schema is told before anything is promised.
      await readHolds(database)
      const plan = `Would ${verb} ${name}${until === undefined ? '' : ` until ${until}`}.`
      const text = `${plain(plan)}\n${howToDoIt(verb === 'pause', flags)}`
      const facts = { dry_run: true, [verb]: { group, topic, partition, key }, until }
      context.stdout.write(flags.json ? jsonText(facts) : text)
      return
    }
    const by = authorOf(mandate)
    const which = {
      ...(topic !== undefined && { topic }),
      ...(partition !== undefined && { partition }),
      ...(key !== undefined && { key }),
    }
    const command: TaskCommand =
      verb === 'pause'
        ? { type: 'twr.command.pause', target: which, ...(until && { until }), ...by }
        : { type: 'twr.command.resume', target: which, ...by }
    const placement = placementOf(flags)
    const changed = await giveCommands(database, new Map([[group, command]]), placement)
    const stay = verb === 'resume' ? await otherHolds(database, flags) : []
    if (flags.json) {
      const facts = placement.viaTopic
        ? { sent: 1 }
        : { [`${verb}d`]: changed === 1, other_holds: stay }
      context.stdout.write(jsonText({ dry_run: false, ...facts }))
      return
    }
    const lines = placement.viaTopic
      ? [sentText(placement.controlTopic).trimEnd()]
      : [doneText(verb, name, changed, until), ...stay.map(each => `Still paused: ${each}.`)]
    context.stdout.write(`${lines.map(plain).join('\n')}\n`)
  })
}

function doneText(verb: Verb, name: string, changed: number, until: string | undefined): string {
  if (changed === 0) return `Not paused: ${name}.`
  if (verb === 'resume') return `Resumed ${name}.`
  const end = until === undefined ? 'until it is resumed' : `until ${until}`
  return `Paused ${name} ${end}. Consumers see it within seconds and finish what is at work.`
}

/** What still keeps records of the target from being handled. */
async function otherHolds(database: OutboxAccess, { group }: Flags): Promise<string[]> {
  const holds = await readHolds(database)
  return holds
    .filter(hold => hold.group === group)
    .map(({ topic, partition, reason }) => {
      const name = holdName({
        group,
        topic: topic === '*' ? undefined : topic,
        partition: partition === -1 ? undefined : partition,
      })
      return `${name}: ${reason}`
    })
}

function refuseOdd({ topic, partition, key }: Flags): void {
  if (topic === undefined && (partition !== undefined || key !== undefined)) {
    throw new SluiceError('options', 'give --topic with --partition or --key')
  }
  if (partition !== undefined && key !== undefined) {
    throw new SluiceError('options', 'give --partition or --key, not both')
  }
}

function ahead(text: string): Moment {
  const given = parseMoment(text)
  if (given) return given
  throw new InvalidArgumentError(
    'Write an instant such as 2026-03-01T12:00Z, or how long from now, such as 30m or 2h.',
  )
}

/** @param now by the database's clock */
function untilOf(moment: Moment, now: string): string {
  if ('agoMs' in moment) return new Date(Date.parse(now) + moment.agoMs).toISOString()
  if (Date.parse(moment.at) > Date.parse(now)) return moment.at
  throw new SluiceError('options', '--until lies in the past of the database’s clock')
}
