import pg from 'pg'
import { pause } from '../../../src/internal/pause.ts'
import type { OwnPostgres } from '../faults/own-postgres.ts'
import type { FaultKind } from './fault-kind.ts'
import { repeated } from './repeated.ts'

type Heal = () => Promise<void>
type Leases = readonly [number, number]

const TERMINATE_EVERY_MS = 150
/** Statements of the relay whose lost answer leaves it in doubt. */
const IN_DOUBT = /delete from outbox\.events|update outbox\.(lanes|events)/

function ofServer(
  name: string,
  leases: Leases,
  strike: (server: OwnPostgres) => Promise<Heal>,
): FaultKind {
  return {
    name,
    leases,
    resource: () => 'database server',
    strike: async ({ postgres }) => ({ target: 'the database', heal: await strike(postgres) }),
  }
}

function ofWay(
  name: string,
  leases: Leases,
  strike: (proxy: OwnPostgres['proxy'], chance: number) => Heal,
): FaultKind {
  return {
    name,
    leases,
    resource: () => name,
    strike: async ({ postgres }, { chance }) => {
      return { target: 'way to the database', heal: strike(postgres.proxy, chance) }
    },
  }
}

const backendsTerminated: FaultKind = {
  name: 'backends_terminated',
  leases: [0.1, 1],
  resource: () => 'backends',
  strike: async ({ postgres }) => {
    const over = new AbortController()
    const terminating = (async () => {
      while (!over.signal.aborted) {
        await postgres.terminateBackends('sluice %').catch(() => {})
        await pause(TERMINATE_EVERY_MS, over.signal)
      }
    })()
    return {
      target: 'the connections of the relays',
      heal: async () => {
        over.abort()
        await terminating
      },
    }
  },
}

/** Old row versions stay while somebody's transaction may still see them. */
const xminHeld: FaultKind = {
  name: 'xmin_held',
  leases: [2, 6],
  resource: () => 'xmin',
  strike: async ({ directUrl }) => {
    const client = new pg.Client({ connectionString: directUrl, application_name: 'chaos xmin' })
    client.on('error', () => {})
    await client.connect()
    await client.query('begin isolation level repeatable read')
    await client.query('select pg_current_xact_id()')
    return { target: 'vacuum', heal: () => client.end().catch(() => {}) }
  },
}

function stopped(mode: 'fast' | 'immediate') {
  return async (server: OwnPostgres): Promise<Heal> => {
    await server.stop(mode)
    return () => repeated('starting the database', () => server.start())
  }
}

export const faultsOfPostgres: readonly FaultKind[] = [
  backendsTerminated,
  xminHeld,
  ofServer('postgres_restarted', [0.05, 0.8], stopped('fast')),
  ofServer('postgres_crashed', [0.05, 0.8], stopped('immediate')),
  ofServer('postgres_frozen', [0.2, 1.6], async server => {
    await server.freeze()
    return async () => server.thaw()
  }),
  ofWay('postgres_reset', [0.05, 0.2], proxy => {
    proxy.reset()
    return async () => {}
  }),
  ofWay('postgres_black_hole', [0.3, 1.6], (proxy, chance) => {
    proxy.blackHole()
    return async () => {
      if (chance < 0.5) proxy.reset()
      proxy.heal('blackHole')
    }
  }),
  ofWay('postgres_slow', [0.5, 2], proxy => {
    proxy.latency({ ms: 120, jitterMs: 100 })
    return async () => proxy.heal('latency')
  }),
  ofWay('postgres_answers_swallowed', [0.3, 1], (proxy, chance) => {
    const plan = proxy.swallowAnswers({
      sql: IN_DOUBT,
      count: 1 + Math.floor(chance * 6),
      every: 2,
    })
    return async () => plan.cancel()
  }),
]
