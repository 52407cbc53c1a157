import { type Violation, Violations } from '../campaign/violations.ts'
import { CaseFile } from './case-file.ts'
import type { PubsubHistory } from './history.ts'
import { countsOf, type PubsubCounts } from './pubsub-counts.ts'
import type { PubsubRule } from './pubsub-rules.ts'
import { judgeRequests } from './rules-of-requests.ts'
import { judgeRest } from './rules-of-rest.ts'

export interface PubsubVerdict {
  readonly passed: boolean
  readonly violations: readonly Violation<PubsubRule>[]
  readonly counts: PubsubCounts
}

/** Judges a campaign by what Kafka and the requesters' own journals held in the end. */
export function checkPubsub(history: PubsubHistory): PubsubVerdict {
  const file = new CaseFile(history)
  const findings = new Violations<PubsubRule>()
  judgeRequests(file, findings)
  judgeRest(file, findings)
  const violations = findings.list()
  return { passed: violations.length === 0, violations, counts: countsOf(file) }
}
