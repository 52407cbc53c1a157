import type { ErrorCode } from '../errors.ts'

/** What the host process is to do; its only argument, as JSON. Holds no secrets: a process list shows it. */
export interface HostOrder {
  readonly way: 'any' | 'docker' | 'embedded'
  readonly keep: boolean
  /** Of this run alone; the host removes it at its end. Every user may pass through it. */
  readonly folder: string
  /** Outlives the run. */
  readonly cacheFolder: string
}

export type ToHost = { readonly type: 'stop' } | { readonly type: 'detach' }

export type FromHost =
  | { readonly type: 'progress'; readonly text: string }
  | {
      readonly type: 'ready'
      readonly kind: 'docker' | 'embedded'
      readonly databaseUrl: string
      readonly kafkaBrokers: string
      /** To be killed should the host itself no longer answer. */
      readonly pids: readonly number[]
    }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'detached'; readonly lines: readonly string[] }
