import type { GroupLag, GroupLagList } from '../operator/group-lag.ts'
import type { ReadOrder, TopicMessage, TopicReading } from '../operator/topic-reader.ts'
import type { KafkaTopicFacts, KafkaTopicList } from '../operator/topic-survey.ts'
import { align, counted, cut, plain, plainLines } from './table.ts'

const PREVIEW_CHARACTERS = 200
const KEY_CHARACTERS = 200

/** A line per topic, or per partition of the topics that were named. */
export function printKafkaTopics({ topics, left_out }: KafkaTopicList, named: boolean): string {
  if (topics.length === 0) return 'No topics.\n'
  const blocks = named ? topics.map(partitionTable) : [topicTable(topics)]
  if (left_out > 0) blocks.push(`${counted(left_out, 'more topic')}; give their names.`)
  return `${blocks.join('\n\n')}\n`
}

function topicTable(topics: readonly KafkaTopicFacts[]): string {
  return align([
    ['TOPIC', 'PARTITIONS', 'REPLICAS', 'RECORDS', 'TROUBLE'],
    ...topics.map(({ topic, partitions, records }) => [
      topic,
      String(partitions.length),
      String(Math.min(...partitions.map(({ replicas }) => replicas))),
      records?.toLocaleString('en') ?? '?',
      troubleOf(partitions),
    ]),
  ])
}

function troubleOf(partitions: KafkaTopicFacts['partitions']): string {
  const leaderless = partitions.filter(({ leader }) => leader === null).length
  const behind = partitions.filter(({ in_sync, replicas }) => in_sync < replicas).length
  const parts = [
    leaderless > 0 && `${leaderless} without leader`,
    behind > 0 && `${behind} with replicas not in sync`,
  ]
  return parts.filter(Boolean).join(', ')
}

function partitionTable({ topic, partitions }: KafkaTopicFacts): string {
  const table = align([
    ['PARTITION', 'LEADER', 'IN SYNC', 'FIRST', 'END'],
    ...partitions.map(({ partition, leader, replicas, in_sync, low, high }) => [
      String(partition),
      leader === null ? 'none' : String(leader),
      `${in_sync} of ${replicas}`,
      low ?? '?',
      high ?? '?',
    ]),
  ])
  return `${plain(topic)}\n${table}`
}

/** A table per group. */
export function printGroupLag({ groups, left_out }: GroupLagList): string {
  if (groups.length === 0) return 'No consumer groups.\n'
  const blocks = groups.map(groupTable)
  if (left_out > 0) blocks.push(`${counted(left_out, 'more group')}; give their names.`)
  return `${blocks.join('\n\n')}\n`
}

function groupTable({ group, state, members, lag, partitions }: GroupLag): string {
  const behind = `${lag.toLocaleString('en')} behind`
  const title = `${plain(group)}: ${plain(state)}, ${counted(members, 'member')}, ${behind}`
  if (partitions.length === 0) return `${title}\nNothing committed, nothing assigned.`
  const table = align([
    ['TOPIC', 'PARTITION', 'COMMITTED', 'END', 'LAG', 'MEMBER'],
    ...partitions.map(({ topic, partition, committed, end, lag: own, member }) => [
      topic,
      String(partition),
      committed ?? '-',
      end ?? '?',
      own?.toLocaleString('en') ?? '-',
      member === null ? '-' : `${member.client_id} ${member.host}`,
    ]),
  ])
  return `${title}\n${table}`
}

export function printMessages(
  order: ReadOrder,
  { messages, scanned, stopped }: TopicReading,
  whole: boolean,
): string {
  const looked = `${counted(messages.length, 'record')} of ${scanned.toLocaleString('en')} looked at`
  const range = 'offset' in order.from ? '--offset' : '--last'
  const end = stopped === null ? '' : `; stopped at the ${stopped}: narrow it by ${range}`
  const blocks = messages.map(message => messageBlock(message, whole))
  return `${[...blocks, `${looked}${end}.`].join('\n\n')}\n`
}

function messageBlock(message: TopicMessage, whole: boolean): string {
  const { partition, offset, timestamp, key, headers } = message
  const lines = [
    `partition ${partition}  offset ${offset}  ${instant(timestamp)}  key ${keyText(key)}`,
    ...headers.map(([name, value]) => `  ${name}: ${cut(value, PREVIEW_CHARACTERS)}`),
  ].map(plain)
  return [...lines, valueText(message, whole)].join('\n')
}

function keyText(key: Buffer | null): string {
  if (key === null) return '-'
  return cut(
    textOf(key) === null ? `base64 ${key.toString('base64')}` : JSON.stringify(textOf(key)),
    KEY_CHARACTERS,
  )
}

function valueText({ value }: TopicMessage, whole: boolean): string {
  if (value === null) return '  (tombstone)'
  const text = textOf(value)
  const shown = text ?? value.toString('base64')
  const form = `${counted(value.length, 'byte')}${text === null ? ', base64' : ''}`
  return whole
    ? `  (${form})\n${plainLines(shown)}`
    : `  (${form}) ${plain(cut(shown, PREVIEW_CHARACTERS))}`
}

/** null when it is not UTF-8. */
function textOf(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

/** A timestamp may be anything that a producer gave. */
function instant(timestampMs: number): string {
  const date = new Date(timestampMs)
  return Number.isNaN(date.getTime()) ? 'no time' : date.toISOString()
}

/** For programs: bytes that are not UTF-8 are base64, and a cut value says so. */
export function messageJson(message: TopicMessage, whole: boolean): Record<string, unknown> {
  const { partition, offset, timestamp, key, headers, value } = message
  const text = value && textOf(value)
  const encoded = value && (text ?? value.toString('base64'))
  return {
    partition,
    offset,
    timestamp: instant(timestamp),
    key: key && (textOf(key) ?? key.toString('base64')),
    key_encoding: key && textOf(key) === null ? 'base64' : 'utf-8',
    headers: Object.fromEntries(headers),
    value: encoded === null || whole ? encoded : cut(encoded, PREVIEW_CHARACTERS),
    value_encoding: value === null ? null : text === null ? 'base64' : 'utf-8',
    value_bytes: value?.length ?? 0,
    value_cut: !whole && encoded !== null && encoded.length > PREVIEW_CHARACTERS,
  }
}
