import { cleanup } from '../../support/cleanup.ts'
import type { Scope } from '../../support/parts.ts'
import type { FaultProxy } from './fault-proxy.ts'
import { Plan, type Planned, type PlanOptions } from './plan.ts'
import { PostgresConversation } from './postgres-conversation.ts'
import { type Conversation, type Link, TcpProxy } from './tcp-proxy.ts'

/** Which statements a planned fault meets. */
export interface StatementPlan extends PlanOptions {
  /** Matched against the statement's text, also of a prepared statement that is only executed again. Without `g`. */
  readonly sql: RegExp
}

export interface PostgresProxy extends FaultProxy {
  /**
   * The server carries the statement out and, outside of an explicit transaction, commits it; nothing of its answer
   * arrives, then the connection is reset. `/^commit/i` meets the end of an explicit transaction.
   */
  swallowAnswers(plan: StatementPlan): Planned
  /** The statement never reaches the server and the connection is reset. */
  dropRequests(plan: StatementPlan): Planned
}

/**
 * A proxy that understands PostgreSQL's protocol 3 without TLS. Closed after the test.
 * @param upstream a database URL; the returned `url` is the same database through the proxy
 */
export async function openPostgresProxy(
  t: Scope,
  upstream: string,
): Promise<PostgresProxy & { readonly url: string }> {
  const url = new URL(upstream)
  const proxy = new StatementProxy({ host: url.hostname, port: Number(url.port) })
  await proxy.listen()
  cleanup(t, () => proxy.close())
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  return Object.assign(proxy, { url: url.href })
}

/** One planned fault, as conversations see it. */
export interface StatementFault {
  readonly plan: Plan
  readonly sql: RegExp
}

class StatementProxy extends TcpProxy implements PostgresProxy {
  readonly #faults = { swallows: [] as StatementFault[], drops: [] as StatementFault[] }

  swallowAnswers(options: StatementPlan): Planned {
    return planned(this.#faults.swallows, 'swallowed answer', options)
  }

  dropRequests(options: StatementPlan): Planned {
    return planned(this.#faults.drops, 'dropped statement', options)
  }

  protected speak(link: Link): Conversation {
    return new PostgresConversation(this.#faults, this.weather.bites, link)
  }

  protected cancelPlans(): void {
    for (const faults of Object.values(this.#faults)) {
      for (const { plan } of faults) plan.cancel()
      faults.length = 0
    }
  }
}

function planned(faults: StatementFault[], what: string, options: StatementPlan): Planned {
  const plan = new Plan(`a ${what} (${options.sql})`, options)
  faults.push({ plan, sql: options.sql })
  return plan
}
