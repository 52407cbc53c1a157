import type { RecordSink } from '../consumer/record-source.ts'
import type { MemberIdentity } from './kafkajs-cluster.ts'
import type { KafkajsSettings } from './kafkajs-settings.ts'

/** What outlives a member. */
export interface MemberContext {
  readonly settings: KafkajsSettings
  readonly sink: RecordSink
  /** Filled by the first member. */
  readonly partitionCounts: Map<string, number>
  readonly identity: MemberIdentity
  readonly paused: () => ReadonlySet<string>
  readonly nextEpoch: () => number
}
