import type { CaseFile } from './case-file.ts'
import type { Findings } from './pubsub-rules.ts'

/** What must hold once the faults are over, and how processes ended. */
export function judgeRest(file: CaseFile, findings: Findings): void {
  judgeHealing(file, findings)
  judgeWorkers(file, findings)
  judgeProcesses(file, findings)
}

/** Everything is answered again. */
function judgeHealing(file: CaseFile, findings: Findings): void {
  const rested = file.history.all('rested')
  for (const { party, answered } of rested) if (!answered) findings.add('not_healed', party)
  const finals = file.requests.filter(({ phase }) => phase === 'final')
  for (const { payload, ends } of finals) {
    const how = ends[0]?.how ?? 'nothing'
    if (how !== 'reply') findings.add('unanswered_at_rest', `${payload}: ${how}`)
  }
  const replies = file.history.all('reply').length
  if (rested.length === 0 || finals.length === 0 || replies === 0) {
    findings.add(
      'not_watched',
      `${rested.length} rested, ${finals.length} final, ${replies} replies`,
    )
  }
}

/** Each request that the brokers have was answered at least once, and is committed. */
function judgeWorkers({ history }: CaseFile, findings: Findings): void {
  const answered = new Set(history.all('reply').map(({ correlationId }) => correlationId))
  for (const { id, correlationId } of history.all('request')) {
    if (!answered.has(correlationId)) findings.add('request_dropped', id)
  }
  for (const { partition, committed, end } of history.all('last_offset')) {
    if (committed !== end) findings.add('not_committed', `${partition}: ${committed} of ${end}`)
  }
}

function judgeProcesses({ history }: CaseFile, findings: Findings): void {
  for (const { party, open } of history.all('counted')) {
    if (open > 0) findings.add('left_open', `${party}: ${open}`)
  }
  for (const { party, asked, how } of history.all('party_exited')) {
    if (asked === null) findings.add('bad_exit', `${party} with ${how}`)
    else if (asked === 'SIGTERM' && how !== 0) findings.add('hung_stop', `${party} with ${how}`)
  }
}
