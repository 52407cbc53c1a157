import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts } from '../../../src/embedded/free-port.ts'
import { findJava } from '../../../src/embedded/java.ts'
import { kafkaJars } from '../../../src/embedded/kafka-jars.ts'
import { probeKafka } from '../../../src/embedded/readiness.ts'
import { describeError, SluiceError } from '../../../src/errors.ts'
import { monotonicMs } from '../../../src/internal/monotonic.ts'
import { cleanup } from '../../support/cleanup.ts'
import type { Scope } from '../../support/parts.ts'
import { until } from '../../support/until.ts'
import { ClusterNode } from './cluster-node.ts'
import { brokerSettings, type NodePorts } from './cluster-settings.ts'
import { ClusterTopics } from './cluster-topics.ts'
import { formatDataFolders } from './format-data.ts'
import { type KafkaProxy, openKafkaProxy } from './kafka-proxy.ts'
import { type OwnParts, openOwnParts } from './own-parts.ts'
import { SmallDisk } from './small-disk.ts'

const GROUPS_DEADLINE_MS = 60_000
const PORTS_EACH = 3

export interface ClusterOptions {
  /** 1 or 3; default 3. Each is broker and controller. */
  readonly brokers?: 1 | 3
  /** Settings of all brokers, over the kit's own. */
  readonly settings?: Readonly<Record<string, string>>
  /** Each broker's log dir is a small disk of its own (Linux, root); needed by `fillDisk`. */
  readonly diskBytesMax?: number
}

/** One broker of the test's own. */
export interface OwnBroker {
  /** From 1. */
  readonly nodeId: number
  /** What clients know it by. */
  readonly proxy: KafkaProxy
  readonly running: boolean
  readonly frozen: boolean
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again on its ports and data; resolves when it answers. A running one is killed first. */
  restart(): Promise<void>
  /** SIGSTOP: connections stay open and nothing is answered. */
  freeze(): void
  thaw(): void
  /** Fills its disk to the last byte. @throws without `diskBytesMax` */
  fillDisk(): Promise<void>
  /** Gives the room back. Kafka ends itself when its only log dir has failed: restart it. */
  freeDisk(): Promise<void>
}

/** Kafka brokers before which proxies stand. Replication and the controllers' quorum go past the proxies. */
export interface OwnCluster {
  /** Of the proxies, as `host:port`: for everything that is tested. */
  readonly brokers: readonly string[]
  /** Past the proxies, for checkers and administration: clients that start here stay off the proxies. */
  readonly directBrokers: readonly string[]
  readonly nodes: readonly OwnBroker[]
  readonly startedInMs: number
  /** Replication factor 3 and min.insync.replicas 2 with three brokers, else 1 and 1. Waits for the leaders. */
  createTopic(
    name: string,
    options?: { partitions?: number; config?: Readonly<Record<string, string>> },
  ): Promise<void>
  /** Resolves when no broker knows the name any more. */
  deleteTopic(name: string): Promise<void>
  /** Undefined: back to the broker's default. */
  setTopicConfig(topic: string, name: string, value: string | undefined): Promise<void>
  /** Leader of each partition, in their order. @throws while one has none */
  leaders(topic: string): Promise<number[]>
  /** Every partition gets another leader among its in-sync replicas. Returns how many have moved. */
  moveLeaders(topic: string): Promise<number>
  /** Resolves when all brokers run and each partition of the topic has its leader and all replicas in sync. */
  healthy(topic: string, options: { deadlineMs: number }): Promise<void>
  /** Ends every fault: heals proxies, thaws, frees disks, restarts the dead and waits until all answer. */
  heal(): Promise<void>
}

/**
 * Embedded also where the shared parts run in Docker. Ended after the test, or with this process.
 * @throws SluiceError `lifecycle` that says what is missing (Java 17, Maven)
 */
export async function startOwnCluster(t: Scope, options: ClusterOptions = {}): Promise<OwnCluster> {
  const startMs = monotonicMs()
  const parts = await openOwnParts(t)
  const program = await findProgram(parts)
  const ports = await nodePorts(options.brokers ?? 3)
  const nodes = await prepareNodes(t, { parts, program, ports, options })
  cleanup(t, async () => {
    await Promise.all(nodes.map(node => node.kill()))
  })
  await Promise.all(nodes.map(node => node.restart()))
  const directBrokers = ports.map(({ internal }) => `127.0.0.1:${internal}`)
  const groupsWork = () => probeKafka(directBrokers[0] as string).then(() => true)
  await until(groupsWork, { deadlineMs: GROUPS_DEADLINE_MS, what: 'groups can be joined' })
  const startedInMs = Math.round(monotonicMs() - startMs)
  return clusterOf(nodes, directBrokers, startedInMs)
}

function clusterOf(
  nodes: readonly ClusterNode[],
  directBrokers: readonly string[],
  startedInMs: number,
): OwnCluster {
  const topics = new ClusterTopics(directBrokers)
  return {
    brokers: nodes.map(node => node.proxy.address),
    directBrokers,
    nodes,
    startedInMs,
    createTopic: (name, options) => topics.create(name, options),
    deleteTopic: name => topics.delete(name),
    setTopicConfig: (topic, name, value) => topics.setConfig(topic, name, value),
    leaders: topic => topics.leaders(topic),
    moveLeaders: topic => topics.moveLeaders(topic),
    healthy: (topic, { deadlineMs }) =>
      until(async () => nodes.every(each => each.running) && (await topics.inSync(topic)), {
        deadlineMs,
        what: `all replicas of ${topic} are in sync`,
      }),
    heal: async () => {
      await Promise.all(nodes.map(node => node.repair()))
      await Promise.all(nodes.map(node => node.answers()))
    },
  }
}

interface Program {
  readonly java: string
  readonly classPath: string
}

async function findProgram({ context }: OwnParts): Promise<Program> {
  try {
    const java = await findJava(context.env)
    return { java, classPath: join(await kafkaJars(context), '*') }
  } catch (cause) {
    throw new SluiceError(
      'lifecycle',
      `tests that break brokers run Kafka on Java 17 with jars from Maven, also where Docker runs the other parts: ${describeError(cause)}`,
      { cause },
    )
  }
}

async function nodePorts(count: number): Promise<NodePorts[]> {
  const ports = await freePorts(count * PORTS_EACH)
  return Array.from({ length: count }, (_, index) => {
    const [client, internal, controller] = ports.slice(index * PORTS_EACH)
    return { client, internal, controller } as NodePorts
  })
}

async function prepareNodes(
  t: Scope,
  from: { parts: OwnParts; program: Program; ports: NodePorts[]; options: ClusterOptions },
): Promise<ClusterNode[]> {
  const { parts, program, ports, options } = from
  const nodes: ClusterNode[] = []
  const dataFolders: string[] = []
  for (const [index, own] of ports.entries()) {
    const nodeId = index + 1
    const folder = join(parts.context.folder, `broker-${nodeId}`)
    const dataFolder = join(folder, 'data')
    await mkdir(dataFolder, { recursive: true })
    const disk = await mountDisk(t, dataFolder, parts, options.diskBytesMax)
    const proxy = await openKafkaProxy(t, `127.0.0.1:${own.client}`)
    const settings = brokerSettings({
      nodeId,
      nodes: ports,
      proxyPort: proxy.port,
      dataFolder,
      settings: options.settings ?? {},
    })
    await writeFile(join(folder, 'server.properties'), settings)
    dataFolders.push(dataFolder)
    const directBroker = `127.0.0.1:${own.internal}`
    nodes.push(new ClusterNode({ nodeId, parts, ...program, folder, directBroker, proxy, disk }))
  }
  await formatDataFolders(dataFolders, { ...program, context: parts.context })
  return nodes
}

async function mountDisk(
  t: Scope,
  folder: string,
  { guard }: OwnParts,
  bytesMax: number | undefined,
): Promise<SmallDisk | undefined> {
  if (bytesMax === undefined) return undefined
  const disk = await SmallDisk.mount(folder, { bytesMax, user: undefined, guard })
  cleanup(t, () => disk.unmount())
  return disk
}
