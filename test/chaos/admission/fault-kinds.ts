import type { Draw, FaultKind, Strike } from '../campaign/fault-kind.ts'
import { faultsOfKafka } from '../campaign/faults-of-kafka.ts'
import { faultsOfPostgres } from '../campaign/faults-of-postgres.ts'
import type { Fleet } from '../campaign/fleet.ts'
import type { OwnCluster } from '../faults/own-cluster.ts'
import type { OwnPostgres } from '../faults/own-postgres.ts'
import type { DoorProcess } from './door-process.ts'
import type { Doors } from './doors.ts'

/** What faults strike at. */
export interface AdmissionField {
  readonly cluster: OwnCluster
  readonly postgres: OwnPostgres
  readonly doors: Doors
  readonly relay: Fleet
}

type AdmissionFault = FaultKind<AdmissionField>

const COMMIT = /^commit/i

/** Those of the relay's campaign that strike at the cluster and the database alone. */
const SHARED = new Set([
  'broker_killed',
  'broker_frozen',
  'kafka_reset',
  'kafka_black_hole',
  'kafka_answers_swallowed',
  'backends_terminated',
  'postgres_restarted',
  'postgres_crashed',
  'postgres_frozen',
  'postgres_reset',
])

const shared = [...faultsOfKafka, ...faultsOfPostgres].filter(({ name }) =>
  SHARED.has(name),
) as unknown as readonly AdmissionFault[]

function ofDoor(
  name: string,
  leases: readonly [number, number],
  strike: (doors: Doors, at: { seat: number; door: DoorProcess }) => Strike['heal'],
): AdmissionFault {
  return {
    name,
    leases,
    // One at a time: with both gone nobody could be let in.
    resource: () => 'doors',
    strike: async ({ doors }, { which }: Draw) => {
      const at = doors.at(which)
      return at && { target: at.door.name, heal: strike(doors, at) }
    },
  }
}

function ended(signal: 'SIGKILL' | 'SIGTERM') {
  return (doors: Doors, { seat, door }: { seat: number; door: DoorProcess }) => {
    door.signal(signal)
    return async () => {
      await door.ended
      await doors.restart(seat)
    }
  }
}

function ofRelay(
  name: string,
  leases: readonly [number, number],
  signals: readonly ['SIGKILL'] | readonly ['SIGSTOP', 'SIGCONT'],
): AdmissionFault {
  return {
    name,
    leases,
    resource: () => 'relay',
    strike: async ({ relay }) => {
      const replica = relay.at(0)
      if (!replica) return null
      const [begin, end] = signals
      replica.signal(begin)
      const heal = async () => {
        if (end) return replica.signal(end)
        await replica.ended
        await relay.restart(0)
      }
      return { target: replica.name, heal }
    },
  }
}

/** A COMMIT whose answer is lost, or that never reaches the server: which of them, nobody can tell. */
const commitsInDoubt: AdmissionFault = {
  name: 'commits_in_doubt',
  resource: () => 'commits',
  leases: [0.3, 1.2],
  strike: async ({ postgres: { proxy } }, { chance }) => {
    const count = 2 + Math.floor(chance * 6)
    const swallowed = proxy.swallowAnswers({ sql: COMMIT, count, every: 7 })
    const dropped = proxy.dropRequests({ sql: COMMIT, count, every: 9 })
    const heal = async () => {
      swallowed.cancel()
      dropped.cancel()
    }
    return { target: 'transactions', heal }
  },
}

/** A frozen door stands still for longer than its membership of the group lasts. */
export const admissionFaults: ReadonlyMap<string, AdmissionFault> = new Map(
  [
    ofDoor('door_killed', [0.2, 1], ended('SIGKILL')),
    ofDoor('door_stopped', [0.1, 0.5], ended('SIGTERM')),
    ofDoor('door_frozen', [1.5, 4], (_, { door }) => {
      door.signal('SIGSTOP')
      return async () => door.signal('SIGCONT')
    }),
    ofRelay('relay_killed', [0.2, 1], ['SIGKILL']),
    ofRelay('relay_frozen', [1.3, 2], ['SIGSTOP', 'SIGCONT']),
    ...shared,
    commitsInDoubt,
  ].map(kind => [kind.name, kind]),
)
