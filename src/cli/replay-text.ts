import type { PublishedRow } from '../operator/replay-selection.ts'
import type { ReplayPlan } from './replay-plan.ts'
import { align, counted, cut } from './table.ts'

export function printReplayPlan(plan: ReplayPlan, first: readonly PublishedRow[]): string {
  const { places, filter, toTopic, historySince, earlier } = plan
  const since = filter.since === null ? 'in the history' : `published since ${filter.since}`
  if (places.length === 0) {
    const done = earlier > 0 ? `All ${counted(earlier, 'event')} of this run are written.` : ''
    return `${done || `No such event was ${since}; the history begins at ${historySince?.toISOString()}.`}\n`
  }
  const again = places.filter(place => place.again).length
  const lines = [
    `Would replay ${counted(places.length, 'event')} ${since}${toTopic ? `, to topic ${toTopic}` : ''}, as new events.`,
    earlier > 0 ? `${counted(earlier, 'event')} of this run are written already.` : '',
    again > 0 ? `WARNING: among them are replays: ${counted(again, 'event')}.` : '',
    'Consumers see new event ids: those that dedupe by event_id handle these events once more.',
    `\nThe first of them:\n${align(rowsOf(first))}\n`,
  ]
  return `${lines.filter(Boolean).join('\n')}\n`
}

function rowsOf(first: readonly PublishedRow[]): string[][] {
  return [
    ['ID', 'PUBLISHED', 'TOPIC', 'PARTITION', 'OFFSET', 'KEY', 'TYPE', 'EVENT ID'],
    ...first.map(row => [
      row.id,
      row.published_at.toISOString(),
      cut(row.topic, 40),
      String(row.kafka_partition),
      row.kafka_offset,
      row.key === null ? '-' : cut(JSON.stringify(row.key), 30),
      cut(row.event_type, 30),
      row.event_id,
    ]),
  ]
}
