import type { SubscribeOptions } from './bus.ts'

/** `SubscribeOptions` with every default in place, checked. Units as there. */
export type SubscriptionSettings<T = unknown> = Readonly<
  Required<Omit<SubscribeOptions<T>, 'ttlMs' | 'inboxRetentionMs' | 'listener' | 'classify'>>
> & {
  /** null: messages do not grow too old. */
  readonly ttlMs: number | null
  /** null: by the topics' retention. */
  readonly inboxRetentionMs: number | null
  readonly listener: NonNullable<SubscribeOptions<T>['listener']>
  readonly classify: NonNullable<SubscribeOptions<T>['classify']>
  /** Where failed ones are published to be handled again; null unless `redeliver` is `reproduce`. */
  readonly retryTopic: string | null
}
