import { type Violation, Violations } from '../campaign/violations.ts'
import { type AdmissionCounts, countsOf, GIVEN_WITHIN_MS } from './admission-counts.ts'
import type { AdmissionRule } from './admission-rules.ts'
import { CaseFile } from './case-file.ts'
import type { AdmissionHistory } from './history.ts'
import { judgeChanges } from './rules-of-changes.ts'
import { judgeEnds } from './rules-of-ends.ts'
import { judgeJoins } from './rules-of-joins.ts'
import { judgeTurns } from './rules-of-turns.ts'

export interface AdmissionVerdict {
  readonly passed: boolean
  readonly violations: readonly Violation<AdmissionRule>[]
  readonly counts: AdmissionCounts
}

/**
 * Judges a campaign by the journal, by what Kafka and PostgreSQL held in the end, and by what visitors were told.
 * @param withinMs for a machine that others use too, on which everything may come late
 */
export function checkAdmission(
  history: AdmissionHistory,
  withinMs: number = GIVEN_WITHIN_MS,
): AdmissionVerdict {
  const file = new CaseFile(history)
  const findings = new Violations<AdmissionRule>()
  const delays = judgeTurns(file, findings, withinMs)
  judgeJoins(file, findings)
  judgeChanges(file, findings)
  judgeEnds(file, findings)
  const violations = findings.list()
  return { passed: violations.length === 0, violations, counts: countsOf(file, delays) }
}
