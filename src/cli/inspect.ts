import type { Command } from 'commander'
import { SluiceError } from '../errors.ts'
import { readGroupLag } from '../operator/group-lag.ts'
import { type ReadOrder, readMessages } from '../operator/topic-reader.ts'
import { surveyTopics } from '../operator/topic-survey.ts'
import type { CliContext } from './context.ts'
import { messageJson, printGroupLag, printKafkaTopics, printMessages } from './inspect-text.ts'
import { wholeNumber } from './operator-flags.ts'
import { jsonText } from './table.ts'

const LIMIT_MAX = 10_000
const LAST_MAX = 100_000
/** Looked through for a key when nothing else is said. */
const LAST_FOR_KEY = 10_000

export function register(program: Command, context: CliContext): void {
  const inspect = program
    .command('inspect')
    .description('look into Kafka: topics, messages, lag; changes nothing and commits no offset')
  registerTopics(inspect, context)
  registerMessages(inspect, context)
  registerLag(inspect, context)
}

function registerTopics(inspect: Command, context: CliContext): void {
  inspect
    .command('topics')
    .description('topics with their partitions, replicas and offsets')
    .argument('[topics...]', 'only these')
    .option('--json', 'print JSON')
    .action(async (names: string[], flags: { json?: true }) => {
      const { kafka } = context.loadOptions(['kafka'])
      const list = await surveyTopics(kafka, names.length > 0 ? names : null)
      const text = printKafkaTopics(list, names.length > 0)
      context.stdout.write(flags.json ? jsonText(list) : text)
    })
}

function registerLag(inspect: Command, context: CliContext): void {
  inspect
    .command('lag')
    .description('how far consumer groups are behind, by partition, and who reads it')
    .argument('[groups...]', 'only these')
    .option('--json', 'print JSON')
    .action(async (names: string[], flags: { json?: true }) => {
      const { kafka } = context.loadOptions(['kafka'])
      const list = await readGroupLag(kafka, names.length > 0 ? names : null)
      context.stdout.write(flags.json ? jsonText(list) : printGroupLag(list))
    })
}

interface MessageFlags {
  readonly topic: string
  readonly partition?: number
  readonly offset?: number
  readonly last?: number
  readonly key?: string
  readonly limit: number
  readonly payload?: true
  readonly json?: true
}

function registerMessages(inspect: Command, context: CliContext): void {
  inspect
    .command('messages')
    .description('records of a topic with their headers, by default the newest ten')
    .requiredOption('--topic <topic>', 'the topic')
    .option('--partition <n>', 'only of this partition', wholeNumber(0, 1_000_000))
    .option('--offset <n>', 'from this offset on', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('--last <n>', 'among the last n of each partition', wholeNumber(1, LAST_MAX))
    .option('--key <key>', 'only with this key')
    .option('--limit <n>', 'records shown', wholeNumber(1, LIMIT_MAX), 10)
    .option('--payload', 'whole payloads instead of their beginnings')
    .option('--json', 'print JSON')
    .action(async (flags: MessageFlags, command: Command) => {
      const limitGiven = command.getOptionValueSource('limit') !== 'default'
      const order = orderOf(flags, limitGiven)
      const reading = await readMessages(context.loadOptions(['kafka']).kafka, order)
      const { messages, scanned, stopped } = reading
      const whole = flags.payload ?? false
      const json = { messages: messages.map(each => messageJson(each, whole)), scanned, stopped }
      context.stdout.write(flags.json ? jsonText(json) : printMessages(order, reading, whole))
    })
}

function orderOf(flags: MessageFlags, limitGiven: boolean): ReadOrder {
  const { topic, partition, offset, last, key } = flags
  if (offset !== undefined && last !== undefined) {
    throw new SluiceError('options', 'give --offset or --last, not both')
  }
  const limit =
    limitGiven || key !== undefined ? flags.limit : Math.min(last ?? flags.limit, LIMIT_MAX)
  const fallback = key === undefined ? limit : LAST_FOR_KEY
  const from = offset === undefined ? { last: last ?? fallback } : { offset }
  return { topic, partition: partition ?? null, from, key: key ?? null, limit }
}
