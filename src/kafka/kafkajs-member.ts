/**
 * One kafkajs consumer from its connect to its end: a member of the group that never comes back once it has ended.
 *
 * joining → reading ⇄ draining → joining …; each may end it: `ended` tells why, and its owner calls `close`.
 * A join: kafkajs asks for the coordinator, where the sink drains and commits → JoinGroup → GROUP_JOIN: everything is
 * paused, the positions are looked up, the sink is told, kafkajs is set to the positions and resumed. Batches that come
 * outside of that, or begin elsewhere than where reading stands, are dropped.
 */
import type { Consumer, Kafka } from 'kafkajs'
import type { CommitOffset, TopicPartition } from '../consumer/record-source.ts'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { Assignment } from './kafkajs-assignment.ts'
import { hookCluster, type KafkajsCluster, type Membership } from './kafkajs-cluster.ts'
import { KafkajsCommits } from './kafkajs-commits.ts'
import { openConsumer } from './kafkajs-consumer.ts'
import type { MemberContext } from './kafkajs-member-context.ts'
import { edgeOffsets, settlePositions } from './kafkajs-positions.ts'
import { KafkajsReader } from './kafkajs-reader.ts'
import { KafkajsSockets } from './kafkajs-sockets.ts'
import { drainWithin, endsWithin } from './kafkajs-waits.ts'
import { partitionKey } from './partition-key.ts'
import { ensureTopics } from './topic-presence.ts'

const DRAIN_LIMIT_MS = 10_000
const WATCH_EVERY_MS = 500
const WORKERS_MIN = 32
const WORKERS_MAX = 4_096

/** The group has given the member's partitions away. */
const LOST = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'])

export class KafkajsMember {
  /** Resolves with the reason once it reads no more and never will. */
  readonly ended: Promise<unknown>
  readonly #context: MemberContext
  readonly #sockets = new KafkajsSockets()
  readonly #kafka: Kafka
  readonly #consumer: Consumer
  readonly #cluster: KafkajsCluster
  readonly #commits: KafkajsCommits
  readonly #reader: KafkajsReader
  readonly #over = new AbortController()
  readonly #joined: Promise<void>
  #settleJoined: () => void = () => {}
  #settleEnded: (reason: unknown) => void = () => {}
  #membership: Membership | null = null
  #assignment: Assignment | null = null
  #draining: Promise<void> | null = null
  #hurry = new AbortController()
  #watching: Promise<void> = Promise.resolve()
  #leaving = false
  #lost = false
  #joining = true
  #aliveMs = monotonicMs()

  constructor(context: MemberContext) {
    this.#context = context
    const { settings } = context
    const { signal } = this.#over
    this.ended = new Promise(settle => {
      this.#settleEnded = settle
    })
    this.#joined = new Promise(settle => {
      this.#settleJoined = settle
    })
    const { kafka, consumer, cluster } = openConsumer(settings, this.#sockets.factory, signal)
    this.#kafka = kafka
    this.#consumer = consumer
    this.#cluster = cluster
    this.#commits = new KafkajsCommits(cluster, settings.group)
    this.#reader = new KafkajsReader({
      consumer,
      sink: context.sink,
      paused: context.paused,
      onFault: error => this.end(error),
    })
    hookCluster(cluster, {
      closed: signal,
      identity: context.identity,
      beforeJoin: () => this.#beforeJoin(),
      membership: membership => {
        this.#membership = membership
      },
      refused: (type, generationId) => this.#refused(type, generationId),
      outOfRange: (topic, partition, position) => this.#outOfRange({ topic, partition }, position),
    })
  }

  /** Resolves once the first assignment is read; rejects as soon as it has ended instead. */
  async start(): Promise<void> {
    const { from, missingTopic, topics } = this.#context.settings
    await ensureTopics(this.#kafka, topics, missingTopic, this.#over.signal)
    await this.#consumer.connect()
    await this.#consumer.subscribe({ topics: [...topics], fromBeginning: from === 'earliest' })
    this.#over.signal.throwIfAborted()
    this.#listen()
    this.#watching = this.#watch()
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: this.#countPartitions(topics),
      eachBatch: payload => this.#reader.eachBatch(payload),
    })
    const ended = this.ended.then(reason => Promise.reject(reason))
    await Promise.race([this.#joined, ended])
  }

  /** The set of paused partitions has changed. */
  reconcile(): void {
    this.#reader.reconcile()
  }

  /** @throws SluiceError `broker` */
  commit(offsets: readonly CommitOffset[]): Promise<void> {
    return this.#commits.commit(offsets, () => (this.#lost ? null : this.#assignment))
  }

  /**
   * Ends the assignment, if there is one, and waits for the sink, at most a quarter longer than `limitMs`. Never rejects.
   */
  drain(why: 'rebalance' | 'stop' | 'lost', limitMs: number): Promise<void> {
    if (why === 'stop') this.#leaving = true
    if (this.#draining === null && this.#assignment !== null) {
      this.#draining = this.#drain(this.#assignment, why, limitMs).finally(() => {
        this.#draining = null
      })
    }
    return this.#draining ?? Promise.resolve()
  }

  /** The sink is asked now to end a drain that is under way. */
  hurry(): void {
    this.#hurry.abort()
  }

  /** It is over: nothing is read or joined any more. The first reason counts. */
  end(reason: unknown): void {
    if (this.#over.signal.aborted) return
    this.#over.abort()
    this.#hurry.abort()
    if (this.#assignment) this.#reader.close(this.#assignment)
    this.#settleEnded(reason)
  }

  /** Leaves the group, if the brokers answer within `graceMs`, and cuts the connections. Never rejects. */
  async close(graceMs: number): Promise<void> {
    this.end(new Error('the client is closed'))
    const late = () => new Error('not left in time')
    await withDeadline(this.#consumer.disconnect(), graceMs, late).catch(() => {})
    this.#sockets.cut()
    await this.#watching
  }

  #countPartitions(topics: readonly string[]): number {
    const { partitionCounts } = this.#context
    let sum = 0
    for (const topic of topics) {
      const count = this.#cluster.findTopicPartitionMetadata(topic).length
      if (!partitionCounts.has(topic)) partitionCounts.set(topic, count)
      sum += count
    }
    // With fewer workers than partitions, one would wait for another; some are to spare for topics that grow.
    return Math.min(Math.max(WORKERS_MIN, 2 * sum), WORKERS_MAX)
  }

  #listen(): void {
    const consumer = this.#consumer
    consumer.on(consumer.events.HEARTBEAT, () => {
      this.#aliveMs = monotonicMs()
    })
    consumer.on(consumer.events.CRASH, ({ payload }) => this.end(payload.error))
    consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) =>
      payload.batchSize === 0 ? this.#reader.passed(payload) : undefined,
    )
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => this.#begin(payload.memberAssignment))
  }

  /** Runs at once as far as `begin`: kafkajs fetches as soon as this returns. */
  async #begin(assigned: Readonly<Record<string, readonly number[]>>): Promise<void> {
    if (this.#over.signal.aborted || this.#membership === null) return
    this.#aliveMs = monotonicMs()
    this.#joining = false
    const partitions = Object.entries(assigned).flatMap(([topic, numbers]) =>
      numbers.map(partition => ({ topic, partition })),
    )
    const assignment = new Assignment(this.#context.nextEpoch(), this.#membership, partitions)
    const before = this.#assignment
    this.#assignment = assignment
    this.#reader.begin(assignment)
    const { signal } = assignment.ending
    try {
      // Two of its fetch loops may join at the same time.
      if (before) await this.#drain(before, 'rebalance', DRAIN_LIMIT_MS)
      await this.#settle(assignment)
      if (signal.aborted) return
      assignment.announced = this.#context.sink.assign(assignment.positions, assignment.epoch)
      await assignment.announced
      if (signal.aborted) return
      this.#reader.open(assignment)
      this.#settleJoined()
    } catch (error) {
      if (!signal.aborted) this.end(error)
    }
  }

  #settle(assignment: Assignment): Promise<void> {
    const { from, group } = this.#context.settings
    return settlePositions(assignment, {
      cluster: this.#cluster,
      group,
      from,
      partitionCounts: this.#context.partitionCounts,
      pin: this.#commits.send.bind(this.#commits),
    })
  }

  async #drain(
    assignment: Assignment,
    why: 'rebalance' | 'stop' | 'lost',
    limitMs: number,
  ): Promise<void> {
    this.#reader.close(assignment)
    this.#hurry = new AbortController()
    const { sink } = this.#context
    const work = async (signal: AbortSignal) => {
      if (assignment.announced === null) return
      await assignment.announced
      await sink.revoke(why, signal)
    }
    try {
      await drainWithin(work, limitMs, this.#hurry.signal)
    } catch (error) {
      this.end(error)
    }
    if (this.#assignment === assignment) this.#assignment = null
  }

  async #beforeJoin(): Promise<void> {
    this.#aliveMs = monotonicMs()
    this.#joining = true
    const membership = this.#assignment?.membership
    const { heartbeatIntervalMs, rebalanceTimeoutMs } = this.#context.settings
    const limitMs = Math.min(DRAIN_LIMIT_MS, rebalanceTimeoutMs / 2)
    const drained = this.drain(this.#lost ? 'lost' : 'rebalance', limitMs)
    // The session goes on meanwhile: refused as it is, a heartbeat counts.
    while (!(await endsWithin(drained, heartbeatIntervalMs))) {
      if (membership && !this.#lost) await this.#beat(membership)
    }
    this.#lost = false
    if (this.#leaving || this.#over.signal.aborted) throw new Error('the member leaves the group')
  }

  async #beat({ coordinator, generationId, memberId }: Membership): Promise<void> {
    const { group, heartbeatIntervalMs } = this.#context.settings
    const member = { groupId: group, groupGenerationId: generationId, memberId }
    const late = () => new Error('no answer in time')
    await withDeadline(coordinator.heartbeat(member), heartbeatIntervalMs, late).catch(() => {})
  }

  #refused(type: string, generationId: number): void {
    // The answer to a commit may come after the next join, and means nothing then.
    if (!LOST.has(type) || generationId !== this.#assignment?.membership.generationId) return
    this.#lost = true
    this.#hurry.abort()
  }

  async #outOfRange(partition: TopicPartition, position: bigint): Promise<boolean> {
    const assignment = this.#assignment
    if (assignment === null) return true
    const firsts = await edgeOffsets(this.#cluster, [partition], 'earliest')
    const first = firsts.get(partitionKey(partition)) ?? position
    if (this.#reader.move(assignment, partition, position, first)) {
      this.#context.sink.outOfRange(partition, position)
    }
    return true
  }

  /** kafkajs can die without a word; and without a heartbeat for a whole session the partitions are others'. */
  async #watch(): Promise<void> {
    const { rebalanceTimeoutMs, sessionTimeoutMs } = this.#context.settings
    const { signal } = this.#over
    while (!signal.aborted) {
      await pause(WATCH_EVERY_MS, signal)
      const limitMs = sessionTimeoutMs + (this.#joining ? rebalanceTimeoutMs : 0)
      if (monotonicMs() - this.#aliveMs <= limitMs) continue
      this.end(new Error(`the group's coordinator has not answered for ${limitMs} ms`))
    }
  }
}
