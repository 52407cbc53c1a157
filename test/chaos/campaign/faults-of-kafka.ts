import type { KafkaProxy } from '../faults/kafka-proxy.ts'
import type { OwnBroker } from '../faults/own-cluster.ts'
import { LOWERED_LIMIT_BYTES } from './event-plan.ts'
import type { Battlefield, Draw, FaultKind } from './fault-kind.ts'
import { repeated } from './repeated.ts'

type Heal = () => Promise<void>
type Leases = readonly [number, number]

const brokerOf = ({ cluster }: Battlefield, { which }: Draw) =>
  cluster.nodes[which % cluster.nodes.length] as OwnBroker

/** Of one broker's process. One at a time: two of three gone are no majority, which is another fault. */
function ofProcess(
  name: string,
  leases: Leases,
  strike: (node: OwnBroker) => Promise<Heal>,
): FaultKind {
  return {
    name,
    leases,
    resource: () => 'broker process',
    strike: async (field, draw) => {
      const node = brokerOf(field, draw)
      return { target: `broker ${node.nodeId}`, heal: await strike(node) }
    },
  }
}

/** Of the way to one broker. */
function ofWay(
  name: string,
  leases: Leases,
  strike: (proxy: KafkaProxy, chance: number) => Heal,
): FaultKind {
  return {
    name,
    leases,
    resource: () => name,
    strike: async (field, draw) => {
      const { proxy, nodeId } = brokerOf(field, draw)
      return { target: `way to broker ${nodeId}`, heal: strike(proxy, draw.chance) }
    },
  }
}

/** Of the topic whose limits are changed. */
function ofLimit(name: string, leases: Leases, config: string, value: string): FaultKind {
  return {
    name,
    leases,
    resource: () => name,
    strike: async ({ cluster, topics }) => {
      const set = (to: string | undefined) =>
        repeated(`setting ${config}`, () => cluster.setTopicConfig(topics.limited, config, to))
      await set(value)
      return { target: topics.limited, heal: () => set(undefined) }
    },
  }
}

const topicDeleted: FaultKind = {
  name: 'topic_deleted',
  leases: [0.3, 1.5],
  resource: () => 'topic_deleted',
  strike: async ({ cluster, topics, partitions }) => {
    const { doomed } = topics
    // A broker that is down cannot say that the topic is gone; the others have deleted it all the same.
    await cluster.deleteTopic(doomed).catch(() => {})
    const createAgain = async () => {
      await cluster.createTopic(doomed, { partitions }).catch(() => {})
      const leaders = await cluster.leaders(doomed)
      if (leaders.length !== partitions) throw new Error(`${doomed} is not there`)
    }
    return { target: doomed, heal: () => repeated('creating a topic', createAgain) }
  },
}

const leadersMoved: FaultKind = {
  name: 'leaders_moved',
  leases: [0.1, 0.3],
  resource: () => 'leaders',
  strike: async ({ cluster, topics }) => {
    if (cluster.nodes.length === 1) return null
    const moved = await cluster.moveLeaders(topics.orders).catch(() => 0)
    return moved === 0 ? null : { target: `${moved} partitions`, heal: async () => {} }
  },
}

export const faultsOfKafka: readonly FaultKind[] = [
  ofProcess('broker_killed', [0.3, 1.5], async node => {
    await node.kill()
    return () => node.restart()
  }),
  ofProcess('broker_frozen', [0.2, 2], async node => {
    node.freeze()
    return async () => node.thaw()
  }),
  ofWay('kafka_reset', [0.05, 0.2], proxy => {
    proxy.reset()
    return async () => {}
  }),
  ofWay('kafka_black_hole', [0.3, 1.5], (proxy, chance) => {
    proxy.blackHole()
    return async () => {
      // What was held is thrown away, or arrives late.
      if (chance < 0.5) proxy.reset()
      proxy.heal('blackHole')
    }
  }),
  ofWay('kafka_late', [0.5, 2], proxy => {
    proxy.latency({ ms: 250, jitterMs: 200 })
    return async () => proxy.heal('latency')
  }),
  ofWay('kafka_slow', [0.5, 2], proxy => {
    proxy.slow({ bytesPerSecond: 60_000 })
    return async () => proxy.heal('slow')
  }),
  ofWay('kafka_answers_swallowed', [0.3, 1], (proxy, chance) => {
    const plan = proxy.swallowAnswers({
      api: 'produce',
      count: 1 + Math.floor(chance * 6),
      every: 3,
    })
    return async () => plan.cancel()
  }),
  ofWay('kafka_requests_held', [0.3, 1], (proxy, chance) => {
    const held = proxy.holdRequests({
      api: 'produce',
      count: 1 + Math.floor(chance * 3),
      until: 'retried',
    })
    return async () => {
      held.cancel()
      await held.release().catch(() => {})
    }
  }),
  topicDeleted,
  leadersMoved,
  ofLimit('message_limit_lowered', [0.5, 1.5], 'max.message.bytes', String(LOWERED_LIMIT_BYTES)),
  // About as long as a request takes: some records are refused and their successors are not.
  ofLimit('timestamps_refused', [0.3, 0.8], 'message.timestamp.before.max.ms', '3'),
]
