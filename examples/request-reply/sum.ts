import { json_payload } from '../../src/pubsub/index.ts' // 'sluice-outbox/pubsub' in your project

export interface Question {
  readonly a: number
  readonly b: number
}

export interface Sum {
  readonly sum: number
  /** Who has added. */
  readonly by: string
}

/** What requesters and workers have agreed on. */
export const sums = json_payload<Question, Sum>()
export const questions = json_payload<Sum, Question>()
