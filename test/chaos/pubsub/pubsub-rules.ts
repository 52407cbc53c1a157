import type { Violations } from '../campaign/violations.ts'

/** What a history can be guilty of; each rule's meaning stands where it is judged. */
export type PubsubRule =
  | 'not_ended'
  | 'ended_twice'
  | 'ended_otherwise'
  | 'ended_late'
  | 'foreign_reply'
  | 'phantom_reply'
  | 'misplaced_reply'
  | 'reply_not_delivered'
  | 'loss_not_told'
  | 'lost_for_nothing'
  | 'first_unanswered'
  | 'unanswered_in_peace'
  | 'unanswered_at_rest'
  | 'not_healed'
  | 'request_dropped'
  | 'not_committed'
  | 'left_open'
  | 'bad_exit'
  | 'hung_stop'
  | 'not_watched'

export type Findings = Violations<PubsubRule>
