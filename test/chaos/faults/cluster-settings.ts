import { NODE_SETTINGS } from '../../../src/embedded/kafka-settings.ts'

/** Where one broker listens. */
export interface NodePorts {
  /** Behind the proxy. */
  readonly client: number
  /** For replication, checkers and administration. */
  readonly internal: number
  readonly controller: number
}

/** Fail-over within a few seconds, where Kafka's own times are made for wide networks. */
const QUICK_FAILOVER = {
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
  'controller.quorum.fetch.timeout.ms': '1500',
  'controller.quorum.election.backoff.max.ms': '300',
  'replica.lag.time.max.ms': '3000',
  'replica.fetch.backoff.ms': '200',
  'group.min.session.timeout.ms': '1000',
}

/** Three brokers share the cores and the memory of a small machine. */
const SMALL = {
  'num.network.threads': '2',
  'num.io.threads': '4',
  'log.cleaner.dedupe.buffer.size': '4194304',
  'log.segment.bytes': '67108864',
}

/** The properties file of one broker. */
export function brokerSettings(options: {
  readonly nodeId: number
  readonly nodes: readonly NodePorts[]
  /** What clients are told. */
  readonly proxyPort: number
  readonly dataFolder: string
  readonly settings: Readonly<Record<string, string>>
}): string {
  const { nodeId, nodes, proxyPort, dataFolder } = options
  const own = nodes[nodeId - 1] as NodePorts
  const replicas = String(nodes.length)
  const inSyncMin = nodes.length > 1 ? '2' : '1'
  const voters = nodes.map((ports, index) => `${index + 1}@127.0.0.1:${ports.controller}`)
  const all = {
    ...NODE_SETTINGS,
    ...QUICK_FAILOVER,
    ...SMALL,
    'node.id': String(nodeId),
    listeners: `CLIENT://127.0.0.1:${own.client},INTERNAL://127.0.0.1:${own.internal},CONTROLLER://127.0.0.1:${own.controller}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${proxyPort},INTERNAL://127.0.0.1:${own.internal}`,
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'INTERNAL',
    'controller.quorum.voters': voters.join(','),
    'log.dirs': dataFolder,
    'default.replication.factor': replicas,
    'min.insync.replicas': inSyncMin,
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSyncMin,
    'unclean.leader.election.enable': 'false',
    // Leaders move when a test says so.
    'auto.leader.rebalance.enable': 'false',
    ...options.settings,
  }
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
