import type { TopicPartition } from './record-source.ts'

/** PORT: what is paused by hand, as the database has it; looked at from time to time. */
export interface Holds {
  holds(partition: TopicPartition): boolean
  /** @returns takes the listener off again */
  onChange(listener: () => void): () => void
}

/** PORT: whether what messages need is there. */
export interface DependencyGate {
  /** `one`: a single message may try, because nothing else will find out whether it is there again. */
  admits(names: readonly string[]): 'all' | 'one' | 'none'
  /** A message found it down. */
  failed(name: string, reason: string): void
  /** A message that needs these was handled. */
  succeeded(names: readonly string[]): void
  /** @returns takes the listener off again */
  onChange(listener: () => void): () => void
}

/** The dependency of everything that is handled with an inbox or a waiting room. */
export const POSTGRES = 'postgres'
