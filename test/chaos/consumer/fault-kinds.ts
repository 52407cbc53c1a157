import { faultsOfKafka } from '../campaign/faults-of-kafka.ts'
import { faultsOfPostgres } from '../campaign/faults-of-postgres.ts'
import type { OwnBroker } from '../faults/own-cluster.ts'
import type { ConsumerFault } from './fault-field.ts'
import { faultsOfMembers } from './faults-of-members.ts'

const OFFSET_COMMIT = 8
const COMMIT = /^commit/i

/** Those of the relay's campaign that concern consumers too: they strike at the cluster and the database alone. */
const SHARED = new Set([
  'broker_killed',
  'broker_frozen',
  'kafka_reset',
  'kafka_black_hole',
  'kafka_late',
  'backends_terminated',
  'postgres_restarted',
  'postgres_crashed',
  'postgres_frozen',
  'postgres_reset',
  'postgres_black_hole',
  'postgres_slow',
])

const shared = [...faultsOfKafka, ...faultsOfPostgres].filter(({ name }) =>
  SHARED.has(name),
) as unknown as readonly ConsumerFault[]

/** A COMMIT whose answer is lost, or that never reaches the server: which of them, nobody can tell. */
const commitsInDoubt: ConsumerFault = {
  name: 'commits_in_doubt',
  resource: () => 'commits',
  leases: [0.3, 1.2],
  strike: async ({ postgres: { proxy } }, { chance }) => {
    const swallowed = proxy.swallowAnswers({
      sql: COMMIT,
      count: 4 + Math.floor(chance * 10),
      every: 3,
    })
    const dropped = proxy.dropRequests({
      sql: COMMIT,
      count: 4 + Math.floor(chance * 10),
      every: 4,
    })
    return {
      target: 'transactions',
      heal: async () => {
        swallowed.cancel()
        dropped.cancel()
      },
    }
  },
}

const offsetsInDoubt: ConsumerFault = {
  name: 'offset_commits_in_doubt',
  resource: () => 'offset commits',
  leases: [0.5, 1.5],
  strike: async ({ cluster }, { chance }) => {
    const { proxy } = cluster.nodes[0] as OwnBroker
    const plan = { api: OFFSET_COMMIT, count: 3, every: 2 }
    const fault = chance < 0.5 ? proxy.swallowAnswers(plan) : proxy.dropRequests(plan)
    return { target: 'the coordinator', heal: async () => fault.cancel() }
  },
}

export const consumerFaults: ReadonlyMap<string, ConsumerFault> = new Map(
  [...faultsOfMembers, ...shared, commitsInDoubt, offsetsInDoubt].map(kind => [kind.name, kind]),
)
