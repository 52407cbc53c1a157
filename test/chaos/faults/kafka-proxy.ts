import { cleanup } from '../../support/cleanup.ts'
import type { Scope } from '../../support/parts.ts'
import type { Bites, FaultProxy } from './fault-proxy.ts'
import { HeldFrames } from './held-frames.ts'
import {
  API_KEYS,
  type KafkaRequest,
  kafkaFrames,
  readCorrelationId,
  readRequest,
} from './kafka-frame.ts'
import { Plan, type Planned, type PlanOptions } from './plan.ts'
import { type Conversation, type Link, TcpProxy } from './tcp-proxy.ts'

export type { Planned } from './plan.ts'

/** Requests that a fault picks; others are named by their number in Kafka's protocol. */
export type KafkaApi = keyof typeof API_KEYS | number

/** Which requests a planned fault meets. */
export interface RequestPlan extends PlanOptions {
  readonly api: KafkaApi
  /** Of Produce requests only: those that write to this topic, among others. */
  readonly topic?: string
}

/** Requests that the proxy keeps although their client has been cut off. */
export interface HeldRequests extends Planned {
  /** How many have reached the broker and were answered; the answers are thrown away. */
  readonly delivered: number
  /** Delivers what is held; resolves with `delivered`. @throws when the broker does not answer in time */
  release(options?: { deadlineMs?: number }): Promise<number>
}

export interface KafkaProxy extends FaultProxy {
  /** Requests of clients so far, by the number of their API. */
  readonly requests: ReadonlyMap<number, number>
  /** The broker carries the request out; its answer is dropped and then the connection reset: written, unknown. */
  swallowAnswers(plan: RequestPlan): Planned
  /** The request never reaches the broker and the connection is reset: not written, unknown. */
  dropRequests(plan: RequestPlan): Planned
  /**
   * The connection of the client is reset, the request is kept and reaches the broker late: at `release()` or, with
   * `until: 'retried'`, also as soon as this broker has answered a later request of that API and topic. Default:
   * released.
   */
  holdRequests(plan: RequestPlan & { readonly until?: 'released' | 'retried' }): HeldRequests
}

/**
 * A proxy that understands the frames of Kafka without TLS. Closed after the test.
 * @param upstream `host:port` of the broker, whose advertised address must be the proxy's
 */
export async function openKafkaProxy(t: Scope, upstream: string): Promise<KafkaProxy> {
  const [host = '', port] = upstream.split(':')
  const proxy = new FramedProxy({ host, port: Number(port) })
  await proxy.listen()
  cleanup(t, () => proxy.close())
  return proxy
}

interface RequestFault {
  readonly plan: Plan
  readonly matches: (request: KafkaRequest) => boolean
}

interface HoldFault extends RequestFault {
  readonly held: HeldFrames
  readonly untilRetried: boolean
}

class FramedProxy extends TcpProxy implements KafkaProxy {
  readonly requests = new Map<number, number>()
  readonly swallows: RequestFault[] = []
  readonly drops: RequestFault[] = []
  readonly holds: HoldFault[] = []

  swallowAnswers(options: RequestPlan): Planned {
    return planned(this.swallows, { ...faultOf('swallowed answer', options) })
  }

  dropRequests(options: RequestPlan): Planned {
    return planned(this.drops, { ...faultOf('dropped request', options) })
  }

  holdRequests(options: RequestPlan & { until?: 'released' | 'retried' }): HeldRequests {
    const fault = faultOf('held request', options)
    const held = new HeldFrames(fault.plan, this.upstream, this.weather.bites)
    planned(this.holds, { ...fault, held, untilRetried: options.until === 'retried' })
    return held
  }

  protected speak(link: Link): Conversation {
    return new KafkaConversation(this, this.weather.bites, link)
  }

  protected cancelPlans(): void {
    for (const faults of [this.swallows, this.drops, this.holds]) {
      for (const { plan } of faults) plan.cancel()
      faults.length = 0
    }
  }
}

function planned<F extends RequestFault>(faults: F[], fault: F): Planned {
  faults.push(fault)
  return fault.plan
}

function faultOf(what: string, options: RequestPlan): RequestFault {
  const { api, topic } = options
  const key = typeof api === 'number' ? api : API_KEYS[api]
  return {
    plan: new Plan(`a ${what} (${api})`, options),
    matches: request =>
      request.api === key && (topic === undefined || request.topics.includes(topic)),
  }
}

interface Awaited {
  readonly request: KafkaRequest
  readonly swallow: Plan | undefined
}

class KafkaConversation implements Conversation {
  readonly #proxy: FramedProxy
  readonly #bites: Bites
  readonly #link: Link
  readonly #fromClient = kafkaFrames()
  readonly #fromServer = kafkaFrames()
  readonly #awaited = new Map<number, Awaited>()

  constructor(proxy: FramedProxy, bites: Bites, link: Link) {
    this.#proxy = proxy
    this.#bites = bites
    this.#link = link
  }

  fromClient(bytes: Buffer): void {
    for (const frame of this.#fromClient.push(bytes)) {
      if (!this.#passRequest(frame)) return
    }
  }

  fromServer(bytes: Buffer): void {
    for (const frame of this.#fromServer.push(bytes)) {
      if (!this.#passAnswer(frame)) return
    }
  }

  closed(): void {
    for (const { swallow } of this.#awaited.values()) swallow?.giveBack()
    this.#awaited.clear()
  }

  /** False: the link is reset. */
  #passRequest(frame: Buffer): boolean {
    const request = readRequest(frame)
    const { requests, drops, holds, swallows } = this.#proxy
    requests.set(request.api, (requests.get(request.api) ?? 0) + 1)
    const drop = taken(drops, request)
    if (drop) {
      drop.plan.bite()
      this.#bites.drop++
      this.#link.reset()
      return false
    }
    const hold = taken(holds, request)
    if (hold) {
      hold.held.keep(frame)
      this.#link.reset()
      return false
    }
    if (request.answered) {
      const swallow = taken(swallows, request)?.plan
      this.#awaited.set(request.correlationId, { request, swallow })
    }
    this.#link.toServer(frame)
    return true
  }

  /** False: the link is reset. */
  #passAnswer(frame: Buffer): boolean {
    const correlationId = readCorrelationId(frame)
    const awaited = this.#awaited.get(correlationId)
    this.#awaited.delete(correlationId)
    if (awaited?.swallow) {
      awaited.swallow.bite()
      this.#bites.swallow++
      this.#link.reset()
      return false
    }
    this.#link.toClient(frame)
    if (awaited) this.#releaseRetried(awaited.request)
    return true
  }

  #releaseRetried(request: KafkaRequest): void {
    for (const { held, untilRetried, matches } of this.#proxy.holds) {
      if (untilRetried && matches(request)) held.releaseSoon()
    }
  }
}

function taken<F extends RequestFault>(faults: readonly F[], request: KafkaRequest): F | undefined {
  return faults.find(fault => fault.matches(request) && fault.plan.take())
}
