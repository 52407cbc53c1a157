import type { Command } from 'commander'
import { SluiceError } from '../errors.ts'
import { withOutbox } from '../operator/outbox-access.ts'
import { readTopicList, type TopicList } from '../operator/topics.ts'
import { topicFault } from '../outbox/topic-name.ts'
import type { CliContext } from './context.ts'
import { registerPausing } from './pausing.ts'
import { align, cut, duration, jsonText } from './table.ts'

export function register(program: Command, context: CliContext): void {
  const topics = program
    .command('topics')
    .description('the topics of what waits: list, pause, resume')
  topics
    .command('list')
    .description('topics with waiting events, an open breaker, or a pause')
    .option('--json', 'print JSON')
    .action(async (flags: { json?: true }) => {
      const { databaseUrl } = context.loadOptions()
      const list = await withOutbox(databaseUrl, 'topics list', readTopicList)
      context.stdout.write(flags.json ? jsonText(list) : printTopics(list))
    })
  registerPausing(topics, context, {
    kind: 'topic',
    argument: '<topics...>',
    pauseNames: legalNames,
    // Whatever was paused can be resumed.
    resumeNames: given => [...new Set(given)],
  })
}

function legalNames(given: readonly string[]): string[] {
  for (const topic of given) {
    const fault = topicFault(topic)
    if (fault !== null) {
      const shape = JSON.stringify(cut(topic, 60))
      throw new SluiceError('options', `the topic's name ${shape} ${fault}`)
    }
  }
  return [...new Set(given)]
}

export function printTopics({ topics, capped }: TopicList): string {
  if (topics.length === 0) return 'Nothing waits, no breaker is open, nothing is paused.\n'
  const table = align([
    ['TOPIC', 'WAITING', 'OLDEST DUE', 'BREAKER', 'PAUSED'],
    ...topics.map(topic => [
      cut(topic.topic, 80),
      topic.waiting === null ? '?' : `${topic.waiting.toLocaleString('en')}${capped ? '+' : ''}`,
      topic.oldest_due_age_seconds === null ? '-' : duration(topic.oldest_due_age_seconds),
      topic.breaker === null
        ? 'closed'
        : `${topic.breaker.replace('_', ' ')}: ${cut(topic.breaker_reason ?? '', 80)}`,
      topic.paused_by === null ? '' : `by ${topic.paused_by}: ${topic.pause_reason}`,
    ]),
  ])
  const note = capped
    ? '\nCounted among the first 1,000 events of each lane; there are more.\n'
    : ''
  return `${table}\n${note}`
}
