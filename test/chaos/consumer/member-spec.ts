/** What a member's process is told at its start, as JSON in `CHAOS_MEMBER`. */
export interface MemberSpec {
  /** The sources that are tested. */
  readonly root: string
  readonly name: string
  readonly group: string
  readonly topics: readonly string[]
  /** Fails, holds, is slow and needs the dependency. */
  readonly troubled: boolean
  /** Handles many messages in one transaction; for a group without troubles. */
  readonly inBatches: boolean
  readonly databaseUrl: string
  readonly brokers: readonly string[]
  readonly controlTopic: string
  readonly deadLetterTopic: string
  /** Where each effect is published. */
  readonly effectsTopic: string
  /** While this file exists the dependency `mail` is down. */
  readonly mailDownFile: string
  /** Gets runs and what the bus told, line by line. */
  readonly logFile: string
  readonly attemptsMax: number
}

/** Where a member can be told to kill itself. */
export const DEATHS = [
  'in_handler',
  'before_commit',
  'after_commit',
  'after_offset_commit',
  'after_claim',
  'after_failure',
  'after_task',
  'after_join',
] as const

export type Death = (typeof DEATHS)[number]

export type MemberOrder =
  | { readonly order: 'die'; readonly at: Death }
  | { readonly order: 'leave' }
  | { readonly order: 'join' }
  | { readonly order: 'hold' }
  | { readonly order: 'resume' }

/** `joined` also at the start. */
export type MemberAnswer = 'joined' | 'left' | 'held' | 'resumed' | 'failed'
