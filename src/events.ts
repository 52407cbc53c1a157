/**
 * What the relay tells those who watch it. Each event says what has become true; loops emit them and know
 * nothing of logs or metrics, which are mere listeners (`telemetry/`).
 */
export type RelayEvent =
  /** `holding`: lanes this replica holds after the change. */
  | { readonly kind: 'lanes_leased'; readonly lanes: readonly number[]; readonly holding: number }
  | {
      readonly kind: 'lanes_given_up'
      readonly lanes: readonly number[]
      readonly holding: number
      /** lost: another replica took them or the lease ran out unrenewed. */
      readonly reason: 'handed_over' | 'lost' | 'stopping'
    }
  /** One round of reserving ended; `events` is 0 when nothing was due. */
  | { readonly kind: 'reserved'; readonly events: number; readonly durationMs: number }
  | { readonly kind: 'reserve_failed'; readonly error: unknown }
  /** A batch came back from the producer; one event per topic in it. */
  | {
      readonly kind: 'published'
      readonly topic: string
      readonly acked: number
      readonly rejected: number
      readonly unknown: number
      readonly bytes: number
      /** From the row's creation to the broker's answer, in seconds, one per acked event. */
      readonly latenciesSeconds: readonly number[]
    }
  | { readonly kind: 'batch_published'; readonly events: number; readonly durationMs: number }
  /** Not acked, through no fault of the events. `code` as in `Outcome`. */
  | {
      readonly kind: 'publish_failed'
      readonly topic: string
      readonly code: string
      readonly message: string
      readonly events: number
      readonly fault: 'broker' | 'producer'
    }
  | {
      readonly kind: 'confirmed'
      readonly events: number
      readonly fenced: number
      readonly durationMs: number
    }
  | { readonly kind: 'confirm_failed'; readonly error: unknown }
  | {
      readonly kind: 'retry_scheduled'
      readonly topic: string
      readonly id: string
      readonly eventId: string
      readonly attempt: number
      readonly reason: string
      readonly retryDelayMs: number
    }
  | {
      readonly kind: 'dead_lettered'
      readonly topic: string
      readonly id: string
      readonly eventId: string
      readonly reason: string
      readonly error: string
    }
  /** Rows were found where the low-water mark says that none can be; they are read from now on. */
  | { readonly kind: 'below_low_water'; readonly lanes: readonly number[] }
  | {
      readonly kind: 'breaker_changed'
      /** `cluster`, `database`, or `topic:<name>`. */
      readonly breaker: string
      readonly state: BreakerState
      readonly reason: string
    }

export type BreakerState = 'closed' | 'open' | 'half_open'

export type RelayListener = (event: RelayEvent) => void
