import { SluiceError } from '../errors.ts'

const DAY_MS = 86_400_000

/**
 * How long the inbox remembers: longer than any of the topics keeps a record, which could then be handled twice.
 * @param askedMs null: as long as needed
 * @param topicsMs how long the topics keep records; null: without a limit
 * @returns null: for ever
 * @throws SluiceError `options` when less was asked for
 */
export function inboxRetentionMs(askedMs: number | null, topicsMs: number | null): number | null {
  if (askedMs === null) return topicsMs === null ? null : topicsMs + DAY_MS
  if (topicsMs === null || askedMs <= topicsMs) {
    const kept = topicsMs === null ? 'without a limit' : `for ${topicsMs} ms`
    throw new SluiceError(
      'options',
      `inboxRetentionMs is ${askedMs}, but the topics keep records ${kept}: one that comes again would be handled ` +
        'twice. Give more, or leave it out',
    )
  }
  return askedMs
}
