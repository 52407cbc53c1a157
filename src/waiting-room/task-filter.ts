import { SluiceError } from '../errors.ts'
import type { Queries } from '../operator/outbox-access.ts'
import type { TaskCommand, TaskFilter } from './control-event.ts'

const BIGINT_MAX = 9_223_372_036_854_775_807n
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/
const FILTER_FIELDS = ['ids', 'messageIds', 'topic', 'key', 'state', 'all'] as const
const STATES = ['waiting', 'behind', 'held', 'dead']

/**
 * The condition of a filter on `waiting_room.tasks t`. Indexes: the primary key for ids, the unique one for message
 * ids, tasks_of_key for topic and key, tasks_in_state for the rest.
 */
export function matching(tx: Queries, group: string, filter: TaskFilter) {
  const ids = filter.ids === undefined ? null : `{${filter.ids.join(',')}}`
  const messageIds = filter.messageIds === undefined ? null : JSON.stringify(filter.messageIds)
  const key = keyHex(filter.key)
  const { topic = null, state = null } = filter
  return tx`(
    t.group_id = ${group}
    and (${ids}::text is null or t.id = any (${ids}::text::bigint[]))
    and (${messageIds}::text is null
      or t.message_id = any (array(select jsonb_array_elements_text(${messageIds}::text::jsonb))))
    and (${topic}::text is null or t.topic = ${topic}::text)
    and (${key}::text is null or t.key = decode(${key}::text, 'hex'))
    and (${state}::text is null or t.state = ${state}::text)
  )`
}

/** A key's bytes as they stand in a record, for `decode(…, 'hex')`. */
export function keyHex(key: string): string
export function keyHex(key: string | undefined): string | null
export function keyHex(key: string | undefined): string | null {
  return key === undefined ? null : Buffer.from(key, 'utf8').toString('hex')
}

/**
 * Refuses what no statement could take, or what means more than its writer may have thought.
 * @throws SluiceError `options` with the field's name
 */
export function checkCommand(command: TaskCommand): void {
  for (const [name, text] of Object.entries({ actor: command.actor, reason: command.reason })) {
    checkText(name, text)
  }
  if ('filter' in command) checkFilter(command.filter)
  else checkTarget(command.target)
  if (command.type === 'twr.command.pause' && command.until !== undefined) {
    const { until } = command
    if (!INSTANT.test(until) || Number.isNaN(Date.parse(until))) {
      throw refused('until must be an instant such as 2026-03-01T12:00:00Z')
    }
  }
}

function checkFilter(filter: TaskFilter): void {
  if (!FILTER_FIELDS.some(field => filter[field] !== undefined)) {
    throw refused(`filter must name at least one of ${FILTER_FIELDS.join(', ')}`)
  }
  for (const id of filter.ids ?? []) {
    if (!/^\d{1,19}$/.test(id) || BigInt(id) > BIGINT_MAX) {
      throw refused('filter.ids must hold task ids, decimal')
    }
  }
  for (const id of filter.messageIds ?? []) checkText('filter.messageIds', id)
  if (filter.topic !== undefined) checkText('filter.topic', filter.topic)
  if (filter.state !== undefined && !STATES.includes(filter.state)) {
    throw refused(`filter.state must be one of ${STATES.join(', ')}`)
  }
}

function checkTarget(target: { topic?: string; partition?: number; key?: string }): void {
  const { topic, partition, key } = target
  if (topic !== undefined) checkText('target.topic', topic)
  if (topic === undefined && (partition !== undefined || key !== undefined)) {
    throw refused('target.partition and target.key need target.topic')
  }
  if (partition !== undefined && key !== undefined) {
    throw refused('target must have partition or key, not both')
  }
  const isPartition = Number.isInteger(partition) && Number(partition) >= 0
  if (partition !== undefined && !isPartition) {
    throw refused('target.partition must be a whole number from 0')
  }
}

function checkText(name: string, text: unknown): void {
  if (typeof text !== 'string' || text.includes('\0')) {
    throw refused(`${name} must be a text without U+0000`)
  }
}

function refused(message: string): SluiceError {
  return new SluiceError('options', `task command: ${message}`)
}
