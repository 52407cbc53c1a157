import { type Violation, Violations } from '../campaign/violations.ts'
import { CaseFile } from './case-file.ts'
import { type ConsumerCounts, countsOf } from './consumer-counts.ts'
import type { ConsumerRule } from './consumer-rules.ts'
import type { ConsumerHistory } from './history.ts'
import { judgeEffects } from './rules-of-effects.ts'
import { judgeRest } from './rules-of-rest.ts'
import { judgeRuns } from './rules-of-runs.ts'

export interface ConsumerVerdict {
  readonly passed: boolean
  readonly violations: readonly Violation<ConsumerRule>[]
  readonly counts: ConsumerCounts
}

/** Judges a campaign by what Kafka, PostgreSQL and the members' own logs held in the end. */
export function checkConsumers(history: ConsumerHistory): ConsumerVerdict {
  const file = new CaseFile(history)
  const findings = new Violations<ConsumerRule>()
  judgeEffects(file, findings)
  judgeRuns(file, findings)
  judgeRest(file, findings)
  const violations = findings.list()
  return { passed: violations.length === 0, violations, counts: countsOf(file) }
}
