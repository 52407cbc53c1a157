import type { Log } from './log.ts'

/**
 * Every line of a subscription's log: `TWR`, its level (D debug, I info, W warn, E error), its area, its number. A code
 * keeps its meaning for ever; docs/log-codes.md says what to do about each.
 */
export const CONSUMER_LOG_CODES = {
  TWRI_GROUP_01: 'partitions assigned',
  TWRI_GROUP_02: 'partitions revoked',
  TWRW_GROUP_03: 'partitions revoked before all work on them had ended',
  TWRW_GROUP_04: 'partitions lost to other members of the group',
  TWRE_GROUP_05: 'consumer crashed; it joins again',
  TWRI_GROUP_06: 'consumer works again after a crash',
  TWRI_GROUP_07: 'partitions paused',
  TWRI_GROUP_08: 'no partition is paused any more',
  TWRE_GROUP_09: 'position out of range: records were deleted before they were read',
  TWRD_DELIV_01: 'records delivered',
  TWRD_DELIV_02: 'message not handled, it is tried again',
  TWRW_DELIV_03: 'message held until someone resumes it',
  TWRD_DELIV_04: 'message can never be handled',
  TWRD_DELIV_05: 'message not handled, a dependency is down',
  TWRD_DELIV_06: 'message dropped',
  TWRW_DELIV_07: 'message became a dead letter',
  TWRD_TASK_01: 'tasks claimed',
  TWRD_TASK_02: 'task ended',
  TWRW_TASK_03: 'worker kept from a task that it had lost',
  TWRW_DEP_01: 'dependency down',
  TWRD_DEP_02: 'dependency tried',
  TWRI_DEP_03: 'dependency works again',
  TWRW_ROOM_01: 'database of the waiting room fails',
  TWRI_ROOM_02: 'database of the waiting room works again',
  TWRE_ROOM_03: 'waiting keys repaired; please report it',
  TWRI_ROOM_04: 'tasks expired',
  TWRD_ROOM_05: 'waiting room swept',
  TWRI_CTRL_01: 'command applied',
  TWRW_CTRL_02: 'command refused',
  TWRW_COMMIT_01: 'committing offsets fails',
  TWRI_COMMIT_02: 'committing offsets works again',
  TWRD_COMMIT_03: 'offsets committed',
} as const satisfies Readonly<Record<`TWR${Letter}_${Area}_${number}`, string>>

export type ConsumerLogCode = keyof typeof CONSUMER_LOG_CODES

type Letter = keyof typeof METHODS
type Area = 'GROUP' | 'DELIV' | 'TASK' | 'DEP' | 'ROOM' | 'CTRL' | 'COMMIT'

const METHODS = { D: 'debug', I: 'info', W: 'warn', E: 'error' } as const

/** Writes the code's line at the code's level. */
export function logCode(log: Log, code: ConsumerLogCode, facts: object): void {
  const letter = code.charAt(3) as Letter
  log[METHODS[letter]]({ code, ...facts }, CONSUMER_LOG_CODES[code])
}
