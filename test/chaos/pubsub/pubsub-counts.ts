import type { CaseFile } from './case-file.ts'

export interface PubsubCounts {
  readonly requests: number
  readonly endings: Readonly<Record<string, number>>
  /** Requests whose reply the brokers have more than once. */
  readonly answeredAgain: number
  /** Requests that timed out although their reply lies in Kafka. */
  readonly repliesNotSeen: number
  readonly connects: number
  readonly faults: Readonly<Record<string, number>>
  /** Sorted. */
  readonly latencyMs: readonly number[]
}

export function countsOf({ requests, history }: CaseFile): PubsubCounts {
  const ends = requests.map(({ ends: [end] }) => end?.how ?? 'died with its process')
  const took = requests.flatMap(({ atMs, ends: [end] }) =>
    end?.how === 'reply' ? end.atMs - atMs : [],
  )
  return {
    requests: requests.length,
    endings: tally(ends),
    answeredAgain: requests.filter(({ replies }) => replies.length > 1).length,
    repliesNotSeen: requests.filter(
      ({ ends: [end], replies }) => end?.how === 'timeout' && replies.length > 0,
    ).length,
    connects: history.all('connected').length,
    faults: tally(history.all('fault_started').map(({ fault }) => fault)),
    latencyMs: took.sort((a, b) => a - b),
  }
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
