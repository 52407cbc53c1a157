import { SluiceError } from '../errors.ts'
import type { ReplayQuery } from './bus.ts'
import type { SourceRecord } from './message.ts'

/** @throws SluiceError `options`: the query has no beginning, or two */
export function recordsToReplay(
  query: ReplayQuery,
  records: readonly SourceRecord[],
): SourceRecord[] {
  if ((query.fromOffset === undefined) === (query.fromTime === undefined)) {
    throw new SluiceError('options', 'replay: give either fromOffset or fromTime')
  }
  return records.filter(record => meets(query, record))
}

function meets(query: ReplayQuery, record: SourceRecord): boolean {
  const { fromOffset, fromTime, toOffset, toTime, key, partition } = query
  if (partition !== undefined && partition !== record.partition) return false
  if (key !== undefined && key !== record.key?.toString('utf8')) return false
  if (fromOffset !== undefined && record.offset < fromOffset) return false
  if (fromTime !== undefined && record.timestampMs < fromTime.getTime()) return false
  if (toOffset !== undefined && record.offset >= toOffset) return false
  return toTime === undefined || record.timestampMs < toTime.getTime()
}
