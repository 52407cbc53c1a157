import { join } from 'node:path'
import { PORT_ATTEMPTS_MAX, PORT_TAKEN } from '../../../src/embedded/free-port.ts'
import { PartProcess } from '../../../src/embedded/part-process.ts'
import { awaitProbe } from '../../../src/embedded/readiness.ts'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { openKafka } from '../../../src/kafka/connection.ts'
import type { KafkaProxy } from './kafka-proxy.ts'
import type { OwnBroker } from './own-cluster.ts'
import type { OwnParts } from './own-parts.ts'
import type { SmallDisk } from './small-disk.ts'

const START_TIMEOUT_MS = 60_000
const PROBE_TIMEOUT_MS = 3_000
const END_TIMEOUT_MS = 5_000
/** Compiled and collected as cheaply as possible: three of them share a few cores. */
const JVM_ARGS = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

export interface NodeOptions {
  readonly nodeId: number
  readonly parts: OwnParts
  readonly java: string
  readonly classPath: string
  /** Holds `server.properties`. */
  readonly folder: string
  /** `host:port` past the proxy. */
  readonly directBroker: string
  readonly proxy: KafkaProxy
  readonly disk: SmallDisk | undefined
}

/** One broker and controller, as a process that can be ended, paused and started again. */
export class ClusterNode implements OwnBroker {
  readonly #options: NodeOptions
  #process: PartProcess | undefined
  #starts = 0
  #frozen = false

  constructor(options: NodeOptions) {
    this.#options = options
  }

  get nodeId(): number {
    return this.#options.nodeId
  }

  get proxy(): KafkaProxy {
    return this.#options.proxy
  }

  get running(): boolean {
    return this.#process !== undefined && this.#process.end === undefined
  }

  get frozen(): boolean {
    return this.#frozen
  }

  /** Starts the process without waiting for it; `answers` waits. */
  launch(): void {
    const { parts, java, classPath, folder, nodeId } = this.#options
    const process = PartProcess.start({
      name: `broker ${nodeId}`,
      command: java,
      args: [...JVM_ARGS, '-cp', classPath, 'kafka.Kafka', 'server.properties'],
      cwd: folder,
      env: parts.context.env,
      logFile: join(folder, `kafka-${++this.#starts}.log`),
    })
    this.#process = process
    this.#frozen = false
    parts.guard.watch(process.pid)
    void process.ended.then(() => parts.guard.forget(process.pid))
  }

  /** Resolves when it is a broker of the cluster and not fenced. */
  async answers(): Promise<void> {
    if (!this.#process) throw new Error(`broker ${this.nodeId} was not started`)
    await awaitProbe(() => this.#probe(), {
      part: this.#process,
      timeoutMs: START_TIMEOUT_MS,
      signal: this.#options.parts.context.signal,
    })
  }

  async kill(): Promise<void> {
    const { running } = this
    if (!this.#process || !running) return
    process.kill(this.#process.pid, 'SIGKILL')
    const late = () => new Error(`broker ${this.nodeId} does not end`)
    await withDeadline(this.#process.ended, END_TIMEOUT_MS, late)
    this.#frozen = false
  }

  async restart(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.kill()
      this.launch()
      try {
        return await this.answers()
      } catch (error) {
        // Somebody's outgoing connection may have got the port in the meantime.
        if (attempt === PORT_ATTEMPTS_MAX || !this.#process?.logged(PORT_TAKEN)) throw error
      }
    }
  }

  freeze(): void {
    if (!this.#process || !this.running) throw new Error(`broker ${this.nodeId} does not run`)
    process.kill(this.#process.pid, 'SIGSTOP')
    this.#frozen = true
  }

  thaw(): void {
    if (this.#process && this.running) process.kill(this.#process.pid, 'SIGCONT')
    this.#frozen = false
  }

  async fillDisk(): Promise<void> {
    await this.#disk().fill()
  }

  async freeDisk(): Promise<void> {
    await this.#disk().free()
  }

  /** As `OwnCluster.heal`, without waiting for a restarted process. */
  async repair(): Promise<void> {
    this.proxy.heal()
    this.thaw()
    await this.#options.disk?.free()
    if (!this.running) this.launch()
  }

  #disk(): SmallDisk {
    if (this.#options.disk) return this.#options.disk
    throw new Error('the cluster was started without diskBytesMax')
  }

  async #probe(): Promise<void> {
    const connection = { brokers: [this.#options.directBroker], clientId: 'sluice-faults' }
    const admin = openKafka(connection, PROBE_TIMEOUT_MS).admin()
    try {
      await admin.connect()
      const { brokers } = await admin.describeCluster()
      if (brokers.some(broker => broker.nodeId === this.nodeId)) return
      throw new Error(`broker ${this.nodeId} is not in the cluster`)
    } finally {
      const late = () => new Error('too slow')
      await withDeadline(admin.disconnect(), PROBE_TIMEOUT_MS, late).catch(() => {})
    }
  }
}
