import type { FaultKind } from './fault-kind.ts'

/** Three is the usual number of replicas; with fewer, some blows meet an empty seat. */
const SEATS = 3
const seatOf = (which: number) => which % SEATS

/** A replica that dies at once; another one takes its seat. */
const killed: FaultKind = {
  name: 'replica_killed',
  resource: ({ which }) => `replica ${seatOf(which)}`,
  leases: [0.1, 1.2],
  strike: async ({ fleet }, { which }) => {
    const seat = seatOf(which)
    const replica = fleet.at(seat)
    if (!replica) return null
    replica.signal('SIGKILL')
    return {
      target: replica.name,
      heal: async () => {
        await replica.ended
        await fleet.restart(seat)
      },
    }
  },
}

/** A replica that stands still until its lease has run out, and then goes on where it was. */
const paused: FaultKind = {
  name: 'replica_paused',
  resource: ({ which }) => `replica ${seatOf(which)}`,
  leases: [1.1, 2],
  strike: async ({ fleet }, { which }) => {
    const replica = fleet.at(seatOf(which))
    if (!replica) return null
    replica.signal('SIGSTOP')
    return { target: replica.name, heal: async () => replica.signal('SIGCONT') }
  },
}

/** A deployment: a stop in good order, then a start. It excuses nothing. */
const stopped: FaultKind = {
  name: 'replica_stopped',
  resource: ({ which }) => `replica ${seatOf(which)}`,
  leases: [0.1, 0.5],
  strike: async ({ fleet }, { which }) => {
    const seat = seatOf(which)
    const replica = fleet.at(seat)
    if (!replica) return null
    replica.signal('SIGTERM')
    return {
      target: replica.name,
      heal: async () => {
        await replica.ended
        await fleet.restart(seat)
      },
    }
  },
}

/** A publishing thread that ends in the midst of its work; the process lives on. */
const threadKilled: FaultKind = {
  name: 'thread_killed',
  resource: ({ which }) => `replica ${seatOf(which)}`,
  leases: [0.05, 0.1],
  strike: async ({ fleet }, { which }) => {
    const replica = fleet.at(seatOf(which))
    // Before it is ready it may not listen yet, and the signal would end it.
    if (!replica?.isReady) return null
    replica.signal('SIGUSR2')
    return { target: replica.name, heal: async () => {} }
  },
}

export const faultsOfReplicas: readonly FaultKind[] = [killed, paused, stopped, threadKilled]
