import type { Command } from 'commander'
import { readTaskGroups } from '../operator/task-groups.ts'
import { listTasks, showTask, TASK_STATES, type TaskState } from '../operator/tasks.ts'
import { withWaitingRoom } from '../operator/waiting-room-access.ts'
import type { CliContext } from './context.ts'
import { EXIT_FATAL } from './exit-code.ts'
import { outboxId, shortText, topicName, wholeNumber } from './operator-flags.ts'
import { jsonText } from './table.ts'
import { oneOf } from './task-flags.ts'
import { registerTaskHolds } from './tasks-hold.ts'
import { registerTaskMoves } from './tasks-move.ts'
import { printTaskDetail, printTaskGroups, printTaskList } from './tasks-text.ts'

const LIST_MAX = 1_000

export function register(program: Command, context: CliContext): void {
  const tasks = program
    .command('tasks')
    .description('what waits in a waiting room: list, show, groups, release, remove, pause, resume')
  registerList(tasks, context)
  registerShow(tasks, context)
  registerGroups(tasks, context)
  registerTaskMoves(tasks, context)
  registerTaskHolds(tasks, context)
}

interface ListFlags {
  readonly group?: string
  readonly state?: TaskState
  readonly topic?: string
  readonly key?: string
  readonly limit: number
  readonly json?: true
}

function registerList(tasks: Command, context: CliContext): void {
  tasks
    .command('list')
    .description('the longest in the room first, never their payloads')
    .option('--group <group>', 'only of this consumer group', shortText)
    .option('--state <state>', `only those that are ${TASK_STATES.join(', ')}`, oneOf(TASK_STATES))
    .option('--topic <topic>', 'only of this topic', topicName)
    .option('--key <key>', 'only with this key')
    .option('--limit <n>', 'rows shown', wholeNumber(1, LIST_MAX), 50)
    .option('--json', 'print JSON')
    .action(async ({ limit, json, ...flags }: ListFlags) => {
      const { group = null, state = null, topic = null, key = null } = flags
      const { databaseUrl } = context.loadOptions()
      const list = await withWaitingRoom(databaseUrl, 'tasks list', database =>
        listTasks(database, { group, state, topic, key }, limit),
      )
      context.stdout.write(json ? jsonText(list) : printTaskList(list, flags))
    })
}

function registerShow(tasks: Command, context: CliContext): void {
  tasks
    .command('show')
    .description('everything about one, with every failure')
    .argument('<id>', 'its id, as the list shows it', outboxId)
    .option('--payload', 'its value too, up to 16 KiB')
    .option('--json', 'print JSON')
    .action(async (id: string, flags: { payload?: true; json?: true }) => {
      const { databaseUrl } = context.loadOptions()
      const task = await withWaitingRoom(databaseUrl, 'tasks show', database =>
        showTask(database, id, flags.payload ?? false),
      )
      if (task === null) {
        context.stderr.write(`sluice: no task ${id}; one that is done has left the room\n`)
        context.setExitCode(EXIT_FATAL)
        return
      }
      context.stdout.write(flags.json ? jsonText(task) : printTaskDetail(task))
    })
}

function registerGroups(tasks: Command, context: CliContext): void {
  tasks
    .command('groups')
    .description('the groups: what waits in each, since when, and what is paused')
    .option('--json', 'print JSON')
    .action(async (flags: { json?: true }) => {
      const { databaseUrl } = context.loadOptions()
      const facts = await withWaitingRoom(databaseUrl, 'tasks groups', readTaskGroups)
      context.stdout.write(flags.json ? jsonText(facts) : printTaskGroups(facts))
    })
}
