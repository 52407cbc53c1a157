import type { Command } from 'commander'
import { SluiceError } from '../errors.ts'
import type { OutboxAccess } from '../operator/outbox-access.ts'
import {
  giveCommands,
  groupsOf,
  knownMessages,
  planMove,
  type TaskPlan,
} from '../operator/task-changes.ts'
import { withWaitingRoom } from '../operator/waiting-room-access.ts'
import type { TaskCommand, TaskFilter } from '../waiting-room/control-event.ts'
import type { CliContext } from './context.ts'
import { EXIT_FATAL } from './exit-code.ts'
import {
  type ActFlags,
  addActFlags,
  collected,
  howToDoIt,
  mandateOf,
  outboxId,
  shortText,
  topicName,
} from './operator-flags.ts'
import { counted, jsonText } from './table.ts'
import {
  addPlacementFlags,
  authorOf,
  oneOf,
  type PlacementFlags,
  placementOf,
  sentText,
} from './task-flags.ts'
import { printMissing, printTaskPlan } from './tasks-text.ts'

type Move = 'release' | 'remove'
const MOVABLE_STATES = ['waiting', 'behind', 'held', 'dead'] as const

interface Flags extends ActFlags, PlacementFlags {
  readonly group?: string
  readonly topic?: string
  readonly key?: string
  readonly state?: (typeof MOVABLE_STATES)[number]
  readonly all?: true
}

/** Adds `release` and `remove`. */
export function registerTaskMoves(tasks: Command, context: CliContext): void {
  const describe = {
    release: 'run them now: waiting, held and dead ones, the dead with their attempts at zero',
    remove: 'end them for good, also those at work; the next of their keys go on',
  }
  for (const move of ['release', 'remove'] as const) {
    const command = tasks
      .command(move)
      .description(describe[move])
      .argument('[ids...]', 'task ids, or message ids with --group', collected(eitherId))
      .option('--group <group>', 'of this consumer group', shortText)
      .option('--topic <topic>', 'only of this topic', topicName)
      .option('--key <key>', 'only with this key')
      .option('--state <state>', 'only those in this state', oneOf(MOVABLE_STATES))
      .option('--all', 'all of the group')
    const reason = move === 'remove' ? 'why; needed' : 'why; needed with a filter or --all'
    addPlacementFlags(addActFlags(command, reason)).action(
      async (ids: string[] | undefined, flags: Flags) => moveTasks(context, move, ids ?? [], flags),
    )
  }
}

async function moveTasks(
  context: CliContext,
  move: Move,
  ids: readonly string[],
  flags: Flags,
): Promise<void> {
  refuseVague(flags, ids)
  const reasonNeeded = move === 'remove' || ids.length === 0
  const mandate = mandateOf(flags, reasonNeeded && flags.yes === true)
  const { databaseUrl } = context.loadOptions()
  await withWaitingRoom(databaseUrl, `tasks ${move}`, async database => {
    const { filters, missing } = await filtersOf(database, ids, flags)
    const plans: TaskPlan[] = []
    for (const [group, filter] of filters) {
      plans.push(await planMove(database, group, move, filter))
    }
    const plan = joined(plans)
    if (!flags.yes) {
      const how = plan.matching === 0 ? '' : howToDoIt(reasonNeeded, flags)
      const text = printTaskPlan(move, plan) + printMissing(missing) + how
      const facts = { dry_run: true, ...plan, not_found: missing }
      context.stdout.write(flags.json ? jsonText(facts) : text)
      return
    }
    const type = `twr.command.${move}` as const
    const commands = new Map<string, TaskCommand>()
    for (const [group, filter] of filters) {
      commands.set(group, { type, filter, ...authorOf(mandate) })
    }
    const placement = placementOf(flags)
    const changed = await giveCommands(database, commands, placement)
    const verb = move === 'release' ? 'released' : 'removed'
    const done = placement.viaTopic
      ? sentText(placement.controlTopic)
      : `${verb === 'released' ? 'Released' : 'Removed'} ${counted(changed, 'task')}.\n`
    const facts = placement.viaTopic ? { sent: commands.size } : { [verb]: changed }
    const json = { dry_run: false, ...facts, not_found: missing }
    context.stdout.write(flags.json ? jsonText(json) : done + printMissing(missing))
    if (missing.length > 0) context.setExitCode(EXIT_FATAL)
  })
}

/** A task's id, or any other text: a message's. */
function eitherId(text: string): string {
  return /^\d+$/.test(text) ? outboxId(text) : shortText(text)
}

/**
 * Everything must be meant: ids, a filter, or `--all`, the latter two of one group.
 * @throws SluiceError `options`
 */
function refuseVague({ group, topic, key, state, all }: Flags, ids: readonly string[]): void {
  const isFiltered = [topic, key, state].some(given => given !== undefined)
  if (ids.length > 0 && (isFiltered || all)) {
    throw new SluiceError('options', 'give ids or a filter, not both')
  }
  if (all && isFiltered) throw new SluiceError('options', 'give a filter or --all, not both')
  if (ids.length === 0 && !isFiltered && !all) {
    const message = 'give ids, or --group with a filter (--topic, --key, --state) or --all'
    throw new SluiceError('options', message)
  }
  if (group === undefined && (ids.length === 0 || ids.some(id => !/^\d+$/.test(id)))) {
    throw new SluiceError('options', 'give --group: a filter and a message id mean one group’s')
  }
}

interface Chosen {
  readonly filters: ReadonlyMap<string, TaskFilter>
  /** Ids that were given and name no task. */
  readonly missing: readonly string[]
}

async function filtersOf(
  database: OutboxAccess,
  given: readonly string[],
  { group, topic, key, state, all }: Flags,
): Promise<Chosen> {
  if (given.length === 0) {
    const filter: TaskFilter = {
      ...(topic !== undefined && { topic }),
      ...(key !== undefined && { key }),
      ...(state !== undefined && { state }),
      ...(all && { all }),
    }
    return { filters: new Map([[group ?? '', filter]]), missing: [] }
  }
  const messageIds = given.filter(id => !/^\d+$/.test(id))
  if (group !== undefined && messageIds.length > 0) {
    if (messageIds.length < given.length) {
      throw new SluiceError('options', 'give task ids or message ids, not both')
    }
    const known = await knownMessages(database, group, messageIds)
    return {
      filters: new Map([[group, { messageIds }]]),
      missing: messageIds.filter(id => !known.has(id)),
    }
  }
  const groups = await groupsOf(database, given)
  const found = given.filter(id => groups.has(id) && [undefined, groups.get(id)].includes(group))
  const filters = new Map<string, TaskFilter>()
  for (const each of new Set(found.map(id => groups.get(id) ?? ''))) {
    filters.set(each, { ids: found.filter(id => groups.get(id) === each) })
  }
  return { filters, missing: given.filter(id => !found.includes(id)) }
}

function joined(plans: readonly TaskPlan[]): TaskPlan {
  return {
    matching: plans.reduce((sum, plan) => sum + plan.matching, 0),
    capped: plans.some(plan => plan.capped),
    counts: plans.flatMap(plan => plan.counts),
    unchanged: plans.flatMap(plan => plan.unchanged),
    rows: plans.flatMap(plan => plan.rows),
  }
}
