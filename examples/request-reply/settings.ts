import { config } from '../../src/pubsub/index.ts' // 'sluice-outbox/pubsub' in your project

const { WORKER_TOPIC: worker = 'worker', REPLY_TOPIC: reply_to = 'reply_to' } = process.env

/** KAFKA_BROKERS names a broker on this machine, or with KAFKA_SASL_* and KAFKA_TLS a managed cluster. */
export const settings = config.from_env(process.env, {
  topics: { worker, reply_to },
  groups: { worker: `${worker}-workers`, reply_to: `${reply_to}-requesters` },
  create_topics: { partitions: 4, replication_factor: Number(process.env.REPLICAS ?? 1) },
})
