import type { TaskPlan } from '../operator/task-changes.ts'
import { GROUP_COUNT_MAX, type GroupFacts, type TaskGroups } from '../operator/task-groups.ts'
import {
  TASK_COUNT_MAX,
  TASK_PAYLOAD_SHOWN_MAX,
  type TaskCount,
  type TaskDetail,
  type TaskList,
  type TaskListRow,
} from '../operator/tasks.ts'
import { align, counted, cut, duration, plain, plainLines } from './table.ts'

/** @param narrowed what the list was narrowed by; with nothing, an empty list means an empty room */
export function printTaskList({ rows, counts, capped }: TaskList, narrowed: object): string {
  if (rows.length === 0) {
    return Object.keys(narrowed).length > 0
      ? 'No such task.\n'
      : 'Nothing waits, and nothing has died.\n'
  }
  const total = counts?.reduce((sum, { tasks }) => sum + tasks, 0) ?? 0
  const blocks = [
    counts === null ? 'Counting took too long.' : printCounts(counts, capped),
    align(taskRows(rows)),
    rows.length < total || capped ? `The first ${rows.length}; --limit shows more.` : '',
  ]
  return `${blocks.filter(Boolean).join('\n\n')}\n`
}

function printCounts(counts: readonly TaskCount[], capped: boolean): string {
  // A part of them says nothing of how the whole is made up.
  if (capped)
    return `${TASK_COUNT_MAX.toLocaleString('en')} or more; sluice tasks groups counts by state.`
  return align([
    ['TASKS', 'STATE', 'GROUP'],
    ...counts.map(({ tasks, state, group }) => [tasks.toLocaleString('en'), state, group]),
  ])
}

function taskRows(rows: readonly TaskListRow[]): string[][] {
  return [
    ['ID', 'GROUP', 'STATE', 'DUE', 'TOPIC', 'KEY', 'MESSAGE', 'TRIES', 'REASON'],
    ...rows.map(row => [
      row.id,
      cut(row.group, 30),
      row.at_work ? 'at work' : row.state,
      dueText(row),
      cut(row.topic, 40),
      row.key === null ? '-' : cut(JSON.stringify(row.key), 30),
      cut(row.message_id, 40),
      String(row.attempts),
      cut(row.reason ?? '', 80),
    ]),
  ]
}

function dueText({ state, at_work: atWork, due_in_seconds: seconds }: TaskListRow): string {
  if (state !== 'waiting') return '-'
  if (atWork) return `lease ${duration(seconds)}`
  return seconds <= 0 ? `for ${duration(-seconds)}` : `in ${duration(seconds)}`
}

export function printTaskDetail(task: TaskDetail): string {
  const held = task.key_held_until === 'infinity' ? 'until resumed' : `until ${task.key_held_until}`
  const lines = [
    ['id', task.id],
    ['group', task.group],
    ['message', task.message_id],
    ['state', task.at_work ? 'waiting, a worker has it' : task.state],
    ['due', `${task.due_at.toISOString()}${task.state === 'waiting' ? `, ${dueText(task)}` : ''}`],
    ['expires', task.expires_at?.toISOString() ?? '-'],
    ['record', `${task.topic}/${task.partition}/${task.offset} of ${task.record_at.toISOString()}`],
    ['key', task.key === null ? '- (no order)' : JSON.stringify(task.key)],
    ['order', task.ordered ? `kept: ${counted(task.ahead, 'task')} of its key before it` : 'none'],
    ...(task.key_held_until === null
      ? []
      : [['key paused', `${held}: ${task.key_held_reason ?? '-'}`]]),
    ['attempts', String(task.attempts)],
    ['retry topic', task.retry_topic ?? '-'],
    ['reason', task.reason ?? '-'],
    ['last error', task.last_error ?? '-'],
    ['in the room', task.created_at.toISOString()],
    ['changed', `${task.changed_at.toISOString()}, revision ${task.rev}`],
    ['payload', `${task.payload_kind}, ${counted(task.payload_bytes, 'byte')}`],
    ...headerLines(task.headers),
  ]
  return `${align(lines)}\n${printHistory(task.history)}${printPayload(task)}`
}

function headerLines(headers: unknown): string[][] {
  if (!Array.isArray(headers)) return []
  return (headers as unknown[][]).map(([name, value]) => [
    `header ${String(name)}`,
    typeof value === 'string' ? value : JSON.stringify(value),
  ])
}

interface Failure {
  readonly at?: unknown
  readonly attempt?: unknown
  readonly reason?: unknown
}

function printHistory(history: unknown): string {
  if (!Array.isArray(history) || history.length === 0) return ''
  const rows = (history as Failure[]).map(({ at, attempt, reason }) =>
    [at, attempt, reason].map(value => String(value ?? '-')),
  )
  return `\n${align([['FAILED AT', 'TRY', 'REASON'], ...rows])}\n`
}

function printPayload({ payload, payload_kind: kind, payload_bytes: bytes }: TaskDetail): string {
  if (payload === null) return ''
  const more = bytes > TASK_PAYLOAD_SHOWN_MAX ? `\n… ${counted(bytes, 'byte')} in all` : ''
  const form = kind === 'bytes' ? 'payload, base64' : 'payload'
  return `\n${form}:\n${plainLines(payload)}${more}\n`
}

export function printTaskGroups({ groups, holds }: TaskGroups): string {
  if (groups.length === 0) return 'Nothing waits in any group, and nothing is paused.\n'
  const blocks = [
    align([
      ['GROUP', 'WAITING', 'BEHIND', 'HELD', 'DEAD', 'PAUSED KEYS', 'DUE'],
      ...groups.map(group => [
        group.group,
        ...[group.waiting, group.behind, group.held, group.dead, group.held_keys].map(number),
        groupDue(group),
      ]),
    ]),
    holds.length === 0
      ? ''
      : align([
          ['PAUSED', 'SINCE', 'UNTIL', 'BY', 'REASON'],
          ...holds.map(hold => [
            holdName({
              group: hold.group,
              topic: hold.topic === '*' ? undefined : hold.topic,
              partition: hold.partition === -1 ? undefined : hold.partition,
            }),
            duration(hold.held_for_seconds),
            hold.held_until === 'infinity' ? 'resumed' : hold.held_until,
            hold.held_by,
            hold.reason,
          ]),
        ]),
  ]
  return `${blocks.filter(Boolean).join('\n\n')}\n`
}

function groupDue({ oldest_due_seconds: oldest, next_due_in_seconds: next }: GroupFacts): string {
  if (oldest !== null) return `for ${duration(oldest)}`
  return next === null ? '-' : `in ${duration(next)}`
}

function number(n: number): string {
  return n > GROUP_COUNT_MAX ? `${GROUP_COUNT_MAX.toLocaleString('en')}+` : n.toLocaleString('en')
}

export interface HoldName {
  readonly group: string
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly key?: string | undefined
}

export function holdName({ group, topic, partition, key }: HoldName): string {
  if (topic === undefined) return `group ${group}`
  if (key !== undefined) return `key ${JSON.stringify(key)} of ${topic} in group ${group}`
  return partition === undefined
    ? `topic ${topic} in group ${group}`
    : `partition ${topic}/${partition} in group ${group}`
}

/** @param verb such as `release` */
export function printTaskPlan(verb: string, plan: TaskPlan): string {
  const more = plan.capped ? 'at least ' : ''
  const lines =
    plan.matching === 0
      ? ['Nothing to change.']
      : [
          `Would ${verb} ${more}${counted(Math.min(plan.matching, TASK_COUNT_MAX), 'task')}:`,
          printCounts(plan.counts, plan.capped),
          `\nThe first of them:\n${align(taskRows(plan.rows))}\n`,
        ]
  if (plan.capped) {
    lines.push('It is done in one transaction: beyond 100,000 tasks narrow it by --topic or --key.')
  }
  const stay = plan.unchanged.map(({ state, tasks }) => `${tasks.toLocaleString('en')} ${state}`)
  if (stay.length > 0) lines.push(`Would stay as they are: ${stay.join(', ')}.`)
  return `${lines.join('\n')}\n`
}

export function printMissing(ids: readonly string[]): string {
  return ids.length === 0 ? '' : `${plain(`No such task: ${ids.join(', ')}`)}\n`
}
