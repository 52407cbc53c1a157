/** Requests that are answered with what they say, over one broker, in one way or another. */
export interface Echo {
  /** Resolves with the reply. */
  ask(payload: Buffer): Promise<unknown>
  close(): Promise<void>
}

export interface EchoTopics {
  readonly requests: string
  readonly replies: string
  readonly partitions: number
}
