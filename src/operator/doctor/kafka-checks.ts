import type { Admin, ConfigResourceTypes } from 'kafkajs'
import { describeError } from '../../errors.ts'
import { monotonicMs } from '../../internal/monotonic.ts'
import type { KafkaConnection } from '../../kafka/connection.ts'
import { topicFault } from '../../outbox/topic-name.ts'
import { openOperatorKafka, withAdmin } from '../kafka-access.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

export interface KafkaNeeds {
  /** Topics of events that wait, or were just published. */
  readonly topics: readonly string[]
  /** The cluster that the outbox is bound to; null: not bound yet. */
  readonly clusterId: string | null
  /** Largest record batch that the relay sends. */
  readonly messageBytesMax: number
}

/** Topics looked at, each by two requests. */
const TOPICS_MAX = 50
/** Kafka's number for a topic's settings; kafkajs exports its names in a way that ES modules cannot import. */
const TOPIC_RESOURCE: ConfigResourceTypes.TOPIC = 2
const CONFIGS = ['min.insync.replicas', 'unclean.leader.election.enable', 'max.message.bytes']

export async function checkKafka(
  connection: KafkaConnection,
  needs: KafkaNeeds,
): Promise<readonly Finding[]> {
  try {
    return await withAdmin(openOperatorKafka(connection), 'asking Kafka', async admin => {
      const startedMs = monotonicMs()
      const { brokers, clusterId } = await admin.describeCluster()
      const tookMs = Math.round(monotonicMs() - startedMs)
      const reached = ok(
        'kafka',
        `${brokers.length === 1 ? '1 broker' : `${brokers.length} brokers`}, answered in ${tookMs} ms`,
      )
      const topics = await checkTopics(admin, needs)
      return [reached, cluster(clusterId, needs.clusterId), ...topics]
    })
  } catch (error) {
    const cure = 'check KAFKA_BROKERS, KAFKA_TLS, KAFKA_SASL_* and the way there'
    return [fail('kafka', describeError(error), cure)]
  }
}

function cluster(found: string, bound: string | null): Finding {
  if (bound === null) return ok('kafka binding', `cluster ${found}, not bound to it yet`)
  if (bound === found) return ok('kafka binding', `cluster ${found}, as bound`)
  return fail(
    'kafka binding',
    `the outbox belongs to cluster ${bound}, this is ${found}`,
    'correct KAFKA_BROKERS; only if the move is meant, run once: sluice run --adopt',
  )
}

async function checkTopics(admin: Admin, needs: KafkaNeeds): Promise<Finding[]> {
  const legal = needs.topics.filter(topic => topicFault(topic) === null)
  const looked = legal.slice(0, TOPICS_MAX)
  const findings: Finding[] = []
  for (const topic of looked) findings.push(...(await checkTopic(admin, topic, needs)))
  const rest = legal.length - looked.length
  if (rest > 0) {
    findings.push(warn('topics', `${rest} more were not looked at`, 'sluice inspect topics'))
  }
  if (findings.length > 0) return findings
  const text = looked.length === 0 ? 'no event waits for one' : `${looked.length} are fit`
  return [ok('topics', text)]
}

async function checkTopic(admin: Admin, topic: string, needs: KafkaNeeds): Promise<Finding[]> {
  const name = `topic ${topic}`
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics[0]?.partitions ?? []
    if (partitions.length === 0) return [missing(name)]
    const resource = { type: TOPIC_RESOURCE, name: topic, configNames: CONFIGS }
    const { resources } = await admin.describeConfigs({
      resources: [resource],
      includeSynonyms: false,
    })
    const entries = resources[0]?.configEntries ?? []
    const config = new Map(entries.map(({ configName, configValue }) => [configName, configValue]))
    return judge(name, partitions, config, needs)
  } catch (error) {
    const kind = (error as { type?: unknown }).type
    if (kind === 'UNKNOWN_TOPIC_OR_PARTITION') return [missing(name)]
    return [warn(name, `could not be looked at: ${describeError(error)}`, 'grant Describe on it')]
  }
}

function missing(name: string): Finding {
  return fail(
    name,
    'does not exist, and events wait for it',
    'create it; nothing is lost meanwhile',
  )
}

interface Partition {
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

function judge(
  name: string,
  partitions: readonly Partition[],
  config: ReadonlyMap<string, string>,
  { messageBytesMax }: KafkaNeeds,
): Finding[] {
  const findings: Finding[] = []
  const replicas = Math.min(...partitions.map(each => each.replicas.length))
  const inSyncMin = Number(config.get('min.insync.replicas') ?? 1)
  const leaderless = partitions.filter(({ leader }) => leader < 0).length
  const thin = partitions.filter(({ isr }) => isr.length < inSyncMin).length
  const bytesMax = Number(config.get('max.message.bytes') ?? Number.POSITIVE_INFINITY)
  if (leaderless > 0) {
    findings.push(fail(name, `${leaderless} partitions have no leader`, 'bring their brokers back'))
  }
  if (thin > 0) {
    const found = `${thin} partitions have fewer than ${inSyncMin} replicas in sync`
    findings.push(fail(name, found, 'bring the missing brokers back: writes are refused till then'))
  }
  if (replicas === 1) {
    const cure = 'raise the replication factor to 3: one lost disk loses what was published'
    findings.push(warn(name, 'replication factor 1', cure))
  } else if (inSyncMin < 2) {
    const cure = 'set min.insync.replicas=2: acks=all counts those in sync, which may be one alone'
    findings.push(warn(name, `min.insync.replicas is ${inSyncMin} of ${replicas} replicas`, cure))
  }
  if (config.get('unclean.leader.election.enable') === 'true') {
    const cure = 'set unclean.leader.election.enable=false'
    findings.push(warn(name, 'a replica that lags may become leader and lose records', cure))
  }
  if (bytesMax < messageBytesMax) {
    const found = `max.message.bytes ${bytesMax} is below SLUICE_MESSAGE_BYTES ${messageBytesMax}`
    findings.push(warn(name, found, 'raise it, or lower SLUICE_MESSAGE_BYTES'))
  }
  return findings
}
