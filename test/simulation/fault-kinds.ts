/** What a seed may switch on. */
export const FAULT_KINDS = [
  // Replicas
  'crash',
  'freeze',
  'stop',
  'join',
  // Database
  'database_down',
  'database_slow',
  'database_cut_off',
  'database_crash',
  'answer_lost',
  'statement_aborted',
  'statement_slow',
  // Broker
  'broker_down',
  'broker_slow',
  'credentials',
  'topic_missing',
  'topic_refusing',
  'send_failed',
  'ack_lost',
  'late_write',
  // Events
  'poison',
  'delay',
  'expiry',
  'invalid_topic',
  'blocking',
  'requeue',
  // Operator
  'pause_lane',
  'pause_topic',
  // Writers
  'rollback',
  'long_transaction',
  'async_commit',
  'held_visibility',
] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

/** Those that begin and end at a time of their own. */
export const TIMED_KINDS = [
  'crash',
  'freeze',
  'stop',
  'join',
  'database_down',
  'database_slow',
  'database_cut_off',
  'database_crash',
  'broker_down',
  'broker_slow',
  'credentials',
  'topic_missing',
  'topic_refusing',
  'pause_lane',
  'pause_topic',
] as const satisfies readonly FaultKind[]

export type TimedKind = (typeof TIMED_KINDS)[number]
