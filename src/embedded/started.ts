/** One running part, as the host process holds it. */
export interface StartedPart {
  /** A database URL, or Kafka's `host:port`. */
  readonly address: string
  readonly pid: number
  /** Resolves when the part has ended for whatever reason; never rejects. */
  readonly ended: Promise<unknown>
  /** Never rejects. */
  stop(): Promise<void>
}

/** Both parts, as the host process holds them. */
export interface Started {
  readonly kind: 'docker' | 'embedded'
  readonly databaseUrl: string
  readonly kafkaBrokers: string
  /** Processes that are children of the host. */
  readonly pids: readonly number[]
  /** What a person types to end the parts once nobody else will. */
  readonly endLines: readonly string[]
  /** The parts need the host to stay. */
  readonly needHost: boolean
  /** Resolves when no part is left running; never rejects. */
  readonly ended: Promise<unknown>
  stop(): Promise<void>
}

/** What every way of starting is given. */
export interface StartContext {
  /** Of this run alone, made by the caller and removed by it. */
  readonly folder: string
  readonly cacheFolder: string
  readonly env: NodeJS.ProcessEnv
  readonly onProgress: (text: string) => void
  /** Aborted when the parts are no longer wanted: end what was started, then reject. */
  readonly signal: AbortSignal
}
