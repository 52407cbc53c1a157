import type { Codec, Envelope } from '../consumer/codec.ts'
import { HEADERS, headerText, placeOf } from '../consumer/message.ts'
import type { TaskCommand, TaskEvent } from './control-event.ts'

/** Whose task, or who is to do it. */
export const GROUP_HEADER = 'twr-group'

/** What a record of the control topic says. `group`: undefined when it names none. */
export type ControlMessage =
  | { readonly kind: 'event'; readonly event: TaskEvent }
  | {
      readonly kind: 'command'
      readonly group: string | undefined
      readonly command: TaskCommand
    }
  | { readonly kind: 'bad'; readonly group: string | undefined; readonly reason: string }

const EVENT_TYPES: ReadonlySet<unknown> = new Set<TaskEvent['type']>([
  'twr.new',
  'twr.retry',
  'twr.held',
  'twr.resumed',
  'twr.completed',
  'twr.failed',
  'twr.expired',
  'twr.removed',
  'twr.replayed',
  'twr.reproduced',
])
const STATES: ReadonlySet<unknown> = new Set<TaskEvent['state']>([
  'waiting',
  'behind',
  'held',
  'done',
  'dead',
  'expired',
  'removed',
])
const REV_MAX = 2 ** 31 - 2

type Fields = Readonly<Record<string, unknown>>

/** Never throws: a record that nobody can read must not keep others waiting. */
export const CONTROL_CODEC: Codec<ControlMessage> = {
  decode(value, record) {
    const group = headerText(record, GROUP_HEADER)
    const json = parsed(value)
    if (json === null) return { kind: 'bad', group, reason: 'it is no JSON object' }
    const { type } = json
    if (EVENT_TYPES.has(type)) {
      const fault = eventFault(json)
      if (fault !== null) return { kind: 'bad', group, reason: fault }
      return { kind: 'event', event: json as unknown as TaskEvent }
    }
    const fault = commandFault(json)
    if (fault !== null) return { kind: 'bad', group, reason: fault }
    return { kind: 'command', group, command: json as unknown as TaskCommand }
  },
}

/** Commands may be written by anyone, also without the headers that the outbox gives. */
export const CONTROL_ENVELOPE: Envelope = {
  id: record => headerText(record, HEADERS.eventId) || placeOf(record),
  type: record => headerText(record, HEADERS.eventType) || 'twr.command',
}

function parsed(value: Buffer | null): Fields | null {
  try {
    const json: unknown = JSON.parse(value?.toString('utf8') ?? 'null')
    return isObject(json) ? json : null
  } catch {
    return null
  }
}

function eventFault(json: Fields): string | null {
  const { group, messageId, rev, state, attempts } = json
  if (!isText(group) || !isText(messageId)) return 'group and messageId must be texts without NUL'
  if (!isCount(rev) || !isCount(attempts)) return 'rev and attempts must be whole numbers'
  if (!STATES.has(state)) return 'state is none of a task'
  for (const name of ['dueAt', 'expiresAt'] as const) {
    const time = json[name]
    if (time !== undefined && !isTime(time)) return `${name} is no time`
  }
  return null
}

/** Its shape alone: what it means is checked by whoever applies it. */
function commandFault({ type, actor, reason, filter, target, until }: Fields): string | null {
  if (!isText(actor) || !isText(reason)) return 'actor and reason must be texts without NUL'
  switch (type) {
    case 'twr.command.release':
    case 'twr.command.remove':
      return isObject(filter) ? filterFault(filter) : 'filter must be an object'
    case 'twr.command.pause':
    case 'twr.command.resume':
      if (until !== undefined && !isTime(until)) return 'until is no time'
      return isObject(target) ? targetFault(target) : 'target must be an object'
    default:
      return 'type is none of an event or a command'
  }
}

function filterFault({ ids, messageIds, topic, key, state, all }: Fields): string | null {
  for (const list of [ids, messageIds]) {
    const isList = Array.isArray(list) && list.every(item => typeof item === 'string')
    if (list !== undefined && !isList) return 'filter.ids and filter.messageIds must be texts'
  }
  for (const text of [topic, key, state]) {
    if (text !== undefined && typeof text !== 'string') {
      return 'filter.topic, filter.key and filter.state must be texts'
    }
  }
  return all === undefined || all === true ? null : 'filter.all must be true'
}

function targetFault({ topic, partition, key }: Fields): string | null {
  if ([topic, key].some(text => text !== undefined && typeof text !== 'string')) {
    return 'target.topic and target.key must be texts'
  }
  return partition === undefined || isCount(partition) ? null : 'target.partition must be a number'
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0')
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= REV_MAX
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value))
}
