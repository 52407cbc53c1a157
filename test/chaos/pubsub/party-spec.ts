export type Role = 'requester' | 'worker'

/** What a party's process is told at its start, as JSON in `CHAOS_PARTY`. */
export interface PartySpec {
  readonly name: string
  readonly role: Role
  readonly brokers: readonly string[]
  readonly workerTopic: string
  readonly replyTopic: string
  readonly workerGroup: string
  readonly replyGroup: string
  /** How a requester reads replies. */
  readonly replies: 'shared' | 'instance'
  readonly timeoutMs: number
  readonly requestsPerSecond: number
  /** Gets what the party does, line by line. */
  readonly logFile: string
}

/** `rest`: go on until requests are answered in a row. `final`: some requests, all of which must be answered. */
export type PartyOrder = 'leave' | 'join' | 'rest' | 'final'

/** `joined` also at the start. */
export type PartyAnswer = 'joined' | 'left' | 'rested' | 'finished' | 'failed'

export const ANSWER_TO: Readonly<Record<PartyOrder, PartyAnswer>> = {
  leave: 'left',
  join: 'joined',
  rest: 'rested',
  final: 'finished',
}
