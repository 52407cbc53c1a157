import { pause } from '../../../src/internal/pause.ts'
import type { Draw, FaultKind } from '../campaign/fault-kind.ts'
import { faultsOfKafka } from '../campaign/faults-of-kafka.ts'
import type { OwnCluster } from '../faults/own-cluster.ts'
import type { PartyProcess } from './party-process.ts'
import type { Troupe } from './troupe.ts'

/** What faults strike at. */
export interface PubsubField {
  readonly cluster: OwnCluster
  readonly requesters: Troupe
  readonly workers: Troupe
}

export type PubsubFault = FaultKind<PubsubField>

/** Those that hit whoever talks to the broker; all others hit the party that they name, and its group. */
export const FAULTS_OF_BROKER = [
  'broker_killed',
  'broker_frozen',
  'kafka_reset',
  'kafka_black_hole',
]

const STORM_EVERY_MS = 2_000

const shared = faultsOfKafka.filter(({ name }) =>
  FAULTS_OF_BROKER.includes(name),
) as unknown as readonly PubsubFault[]

interface Seat {
  readonly troupe: Troupe
  readonly seat: number
  readonly party: PartyProcess
}

type TroupeName = 'requesters' | 'workers'

function seatOf(field: PubsubField, name: TroupeName, { which }: Draw): Seat | null {
  const troupe = field[name]
  const seat = which % troupe.size
  const party = troupe.at(seat)
  return party && !party.frozen ? { troupe, seat, party } : null
}

function ofParty(
  name: string,
  of: TroupeName,
  leases: readonly [number, number],
  strike: (seat: Seat) => () => Promise<void>,
): PubsubFault {
  return {
    name,
    leases,
    // One party of a kind at a time, so that there is always another one.
    resource: () => of,
    strike: async (field, draw) => {
      const seat = seatOf(field, of, draw)
      return seat && { target: seat.party.name, heal: strike(seat) }
    },
  }
}

const killed = ({ troupe, seat, party }: Seat) => {
  party.signal('SIGKILL')
  return async () => {
    await party.ended
    troupe.restart(seat)
  }
}

/** A deployment. */
const replaced = ({ troupe, seat, party }: Seat) => {
  party.signal('SIGTERM')
  return async () => {
    await party.ended
    troupe.restart(seat)
  }
}

const frozen = ({ party }: Seat) => {
  party.signal('SIGSTOP')
  return async () => party.signal('SIGCONT')
}

/** Members leave and come back, one every two seconds. */
function storm(name: string, of: TroupeName): PubsubFault {
  return {
    name,
    leases: [2, 4],
    resource: () => of,
    strike: async (field, { which }) => {
      const over = new AbortController()
      const storming = (async () => {
        for (let seat = which; !over.signal.aborted; seat++) {
          const party = field[of].at(seat)
          if (party && !party.frozen) {
            // It may die meanwhile.
            void party.ask('leave').catch(() => {})
            await pause(STORM_EVERY_MS, over.signal)
            void party.ask('join').catch(() => {})
          }
          await pause(STORM_EVERY_MS, over.signal)
        }
      })()
      const heal = async () => {
        over.abort()
        await storming
      }
      return { target: of, heal }
    },
  }
}

export const pubsubFaults: ReadonlyMap<string, PubsubFault> = new Map(
  [
    ...shared,
    ofParty('worker_killed', 'workers', [0.1, 1], killed),
    ofParty('worker_replaced', 'workers', [0.1, 1], replaced),
    // Often until their partitions are others': a session is 6 s.
    ofParty('worker_frozen', 'workers', [0.8, 3.6], frozen),
    ofParty('requester_killed', 'requesters', [0.1, 1], killed),
    ofParty('requester_replaced', 'requesters', [0.1, 1], replaced),
    ofParty('requester_frozen', 'requesters', [0.8, 3.6], frozen),
    storm('storm_of_requesters', 'requesters'),
    storm('storm_of_workers', 'workers'),
  ].map(kind => [kind.name, kind]),
)
