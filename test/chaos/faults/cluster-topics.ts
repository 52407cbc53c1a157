import { type Admin, type ConfigResourceTypes, Kafka, logLevel } from 'kafkajs'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { until } from '../../support/until.ts'
import { electPreferredLeaders } from './elect-leaders.ts'

const REQUEST_TIMEOUT_MS = 10_000
const CHANGE_DEADLINE_MS = 30_000
const CLOSE_DEADLINE_MS = 5_000
/** The kind of thing that has settings: a topic. Node cannot import kafkajs' own constant. */
const TOPIC = 2 satisfies ConfigResourceTypes
/** Where Kafka has a topic's setting from: the topic itself. */
const SOURCE_TOPIC = 1
const RETRY = { retries: 8, initialRetryTime: 50, maxRetryTime: 500, factor: 0.2, multiplier: 1.5 }

/** Administration of topics past the proxies. */
export class ClusterTopics {
  readonly #brokers: readonly string[]

  constructor(directBrokers: readonly string[]) {
    this.#brokers = directBrokers
  }

  async create(
    name: string,
    options: { partitions?: number; config?: Readonly<Record<string, string>> } = {},
  ): Promise<void> {
    const { partitions = 1, config = {} } = options
    const configEntries = Object.entries(config).map(([key, value]) => ({ name: key, value }))
    const replicationFactor = this.#brokers.length
    const topic = { topic: name, numPartitions: partitions, replicationFactor, configEntries }
    await this.#withAdmin(async admin => {
      await admin.createTopics({ topics: [topic], waitForLeaders: false, timeout: 10_000 })
    })
    await until(async () => (await this.leaders(name)).length === partitions, {
      deadlineMs: CHANGE_DEADLINE_MS,
      what: `topic ${name} has its leaders`,
    })
  }

  async delete(name: string): Promise<void> {
    await this.#withAdmin(admin => admin.deleteTopics({ topics: [name], timeout: 10_000 }))
    for (const broker of this.#brokers) {
      await this.#withAdmin(
        admin =>
          until(async () => !(await admin.listTopics()).includes(name), {
            deadlineMs: CHANGE_DEADLINE_MS,
            what: `topic ${name} is gone`,
          }),
        [broker],
      )
    }
  }

  async setConfig(topic: string, name: string, value: string | undefined): Promise<void> {
    await this.#withAdmin(async admin => {
      const own = await topicConfig(admin, topic)
      own.delete(name)
      if (value !== undefined) own.set(name, value)
      // kafkajs knows only the request that replaces all settings of a topic.
      const configEntries = [...own].map(([key, text]) => ({ name: key, value: text }))
      await admin.alterConfigs({
        validateOnly: false,
        resources: [{ type: TOPIC, name: topic, configEntries }],
      })
      await until(async () => (await topicConfig(admin, topic)).get(name) === value, {
        deadlineMs: CHANGE_DEADLINE_MS,
        what: `topic ${topic} has ${name}=${value}`,
      })
    })
  }

  async leaders(topic: string): Promise<number[]> {
    return (await this.#partitions(topic)).map(partition => partition.leader)
  }

  async moveLeaders(topic: string): Promise<number> {
    const wanted = new Map<number, number>()
    const partitionAssignment: { partition: number; replicas: number[] }[] = []
    for (const { partitionId, leader, replicas, isr } of await this.#partitions(topic)) {
      const next = following(replicas, leader).find(replica => isr.includes(replica))
      if (next === undefined) continue
      wanted.set(partitionId, next)
      const others = replicas.filter(replica => replica !== next)
      partitionAssignment.push({ partition: partitionId, replicas: [next, ...others] })
    }
    if (wanted.size === 0) return 0
    await this.#withAdmin(admin =>
      admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] }),
    )
    const moved = async () => {
      const leaders = await this.leaders(topic)
      return [...wanted].every(([partition, leader]) => leaders[partition] === leader)
    }
    await until(
      async () => {
        await electPreferredLeaders(this.#brokers[0] as string, topic, [...wanted.keys()])
        return moved()
      },
      { deadlineMs: CHANGE_DEADLINE_MS, what: `the leaders of ${topic} have moved` },
    )
    return wanted.size
  }

  async inSync(topic: string): Promise<boolean> {
    const partitions = await this.#partitions(topic)
    return partitions.every(({ isr, replicas }) => isr.length === replicas.length)
  }

  async #partitions(topic: string) {
    return this.#withAdmin(async admin => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const [found] = topics
      if (!found) throw new Error(`there is no topic ${topic}`)
      return found.partitions.sort((a, b) => a.partitionId - b.partitionId)
    })
  }

  async #withAdmin<T>(work: (admin: Admin) => Promise<T>, brokers = this.#brokers): Promise<T> {
    const kafka = new Kafka({
      brokers: [...brokers],
      clientId: 'sluice-faults',
      connectionTimeout: 3_000,
      requestTimeout: REQUEST_TIMEOUT_MS,
      enforceRequestTimeout: true,
      retry: RETRY,
      logLevel: logLevel.NOTHING,
    })
    const admin = kafka.admin({ retry: RETRY })
    try {
      await admin.connect()
      return await work(admin)
    } finally {
      const late = () => new Error('too slow')
      await withDeadline(admin.disconnect(), CLOSE_DEADLINE_MS, late).catch(() => {})
    }
  }
}

/** The others, beginning behind the one that is named: all are reached in turn. */
function following(replicas: readonly number[], leader: number): number[] {
  const sorted = [...replicas].sort((a, b) => a - b)
  const at = sorted.indexOf(leader)
  return [...sorted.slice(at + 1), ...sorted.slice(0, Math.max(0, at))]
}

async function topicConfig(admin: Admin, topic: string): Promise<Map<string, string>> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: TOPIC, name: topic }],
  })
  const entries = resources[0]?.configEntries ?? []
  const own = entries.filter(entry => Number(entry.configSource) === SOURCE_TOPIC)
  return new Map(own.map(entry => [entry.configName, entry.configValue]))
}
