import { type CaseFile, grouped } from './case-file.ts'
import type { Findings } from './consumer-rules.ts'

/** I5, I7 and the ends of processes: offsets, the waiting room, and what is left at rest. */
export function judgeRest(file: CaseFile, findings: Findings): void {
  judgeOffsets(file, findings)
  judgeRoom(file, findings)
  judgeMembers(file, findings)
  const [looked] = file.history.all('looked')
  if (!looked || looked.offsets === 0 || looked.rooms === 0) {
    findings.add('not_watched', JSON.stringify(looked ?? null))
  }
}

function judgeOffsets(file: CaseFile, findings: Findings): void {
  const nameOf = (of: { group: string; topic: string; partition: number }) =>
    `${of.group} ${of.topic}/${of.partition}`
  for (const [name, seen] of grouped(file.history.all('offset'), nameOf)) {
    let before = 0
    for (const { committed, unclaimed } of seen) {
      if (committed < before) {
        findings.add('committed_backwards', `${name}: ${committed} after ${before}`)
      }
      before = committed
      if (unclaimed.length > 0) {
        findings.add('committed_unclaimed', `${name}: ${committed} without ${unclaimed}`)
      }
    }
  }
  const [rested] = file.history.all('rested')
  if (!rested?.drained) findings.add('stuck', rested?.left ?? 'it has not come to rest')
  for (const last of file.history.all('last_offset')) {
    const { committed, end } = last
    if (committed !== end) findings.add('not_committed', `${nameOf(last)}: ${committed} of ${end}`)
  }
}

function judgeRoom(file: CaseFile, findings: Findings): void {
  for (const { group, what } of file.history.all('room_broken')) {
    findings.add('room_broken', `${group} ${what}`)
  }
  for (const { group, topic, open } of file.history.all('key')) {
    if (open > 0) findings.add('key_left', `${group} ${topic}: ${open} open`)
  }
  for (const { group, messageId, state } of file.history.all('task')) {
    if (['waiting', 'behind', 'held'].includes(state)) {
      findings.add('task_left', `${group} ${messageId} ${state}`)
    }
  }
}

const TOLD = {
  at_once_repaired: 'repaired',
  at_once_ended_by_itself: 'ended_by_itself',
  at_once_out_of_range: 'out_of_range',
} as const

function judgeMembers(file: CaseFile, findings: Findings): void {
  for (const { what, member } of file.history.all('told')) {
    const rule = TOLD[what as keyof typeof TOLD]
    if (rule) findings.add(rule, member)
  }
  for (const { member, asked, how } of file.history.all('member_exited')) {
    if (asked === null) findings.add('bad_exit', `${member} with ${how}`)
    else if (asked === 'SIGTERM' && how !== 0) findings.add('hung_stop', `${member} with ${how}`)
  }
}
