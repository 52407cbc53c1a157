import { rm, writeFile } from 'node:fs/promises'
import { pause } from '../../../src/internal/pause.ts'
import type { Draw } from '../campaign/fault-kind.ts'
import { repeated } from '../campaign/repeated.ts'
import type { Crew } from './crew.ts'
import type { ConsumerFault, ConsumerField } from './fault-field.ts'
import type { MemberProcess } from './member-process.ts'
import { DEATHS } from './member-spec.ts'

const STORM_EVERY_MS = 2_000
const DEATH_DEADLINE_MS = 5_000

interface Seat {
  readonly crew: Crew
  readonly seat: number
  readonly member: MemberProcess
}

/** Twice as often one of the troubled: there is more to go wrong. */
function crewOf({ healthy, troubled }: ConsumerField, { which }: Draw): Crew {
  return which % 3 === 0 ? healthy : troubled
}

function seatOf(field: ConsumerField, draw: Draw): Seat | null {
  const crew = crewOf(field, draw)
  const seat = Math.floor(draw.which / 3) % crew.size
  const member = crew.at(seat)
  return member && !member.frozen ? { crew, seat, member } : null
}

const resource = ({ which }: Draw) =>
  `member ${which % 3 === 0 ? 'a' : 'b'}${Math.floor(which / 3) % 2}`

async function replaced({ crew, seat, member }: Seat): Promise<void> {
  await member.ended
  crew.restart(seat)
}

const killed: ConsumerFault = {
  name: 'member_killed',
  resource,
  leases: [0.1, 1],
  strike: async (field, draw) => {
    const seat = seatOf(field, draw)
    if (!seat) return null
    seat.member.signal('SIGKILL')
    return { target: seat.member.name, heal: () => replaced(seat) }
  },
}

/** It dies at a named point of its work, or, if it does not come there, somewhere else. */
const killedAtPoint: ConsumerFault = {
  name: 'member_killed_at',
  resource,
  leases: [0.1, 0.6],
  strike: async (field, draw) => {
    const seat = seatOf(field, draw)
    if (!seat) return null
    const at = DEATHS[Math.floor(draw.chance * DEATHS.length)] ?? 'in_handler'
    seat.member.dieAt(at)
    const over = new AbortController()
    await Promise.race([seat.member.ended, pause(DEATH_DEADLINE_MS, over.signal)])
    over.abort()
    if (seat.member.running) seat.member.signal('SIGKILL')
    return { target: `${seat.member.name} ${at}`, heal: () => replaced(seat) }
  },
}

/** It stands still, often until its partitions and its tasks are others', and then goes on where it was. */
const frozen: ConsumerFault = {
  name: 'member_frozen',
  resource,
  leases: [1, 5],
  strike: async (field, draw) => {
    const seat = seatOf(field, draw)
    if (!seat) return null
    seat.member.signal('SIGSTOP')
    return { target: seat.member.name, heal: async () => seat.member.signal('SIGCONT') }
  },
}

/** A deployment. */
const stopped: ConsumerFault = {
  name: 'member_stopped',
  resource,
  leases: [0.1, 0.5],
  strike: async (field, draw) => {
    const seat = seatOf(field, draw)
    if (!seat) return null
    seat.member.signal('SIGTERM')
    return { target: seat.member.name, heal: () => replaced(seat) }
  },
}

/** Members leave and come back, one every two seconds. */
const storm: ConsumerFault = {
  name: 'rebalance_storm',
  resource: () => 'storm',
  leases: [2, 4],
  strike: async (field, draw) => {
    const crew = crewOf(field, draw)
    const over = new AbortController()
    const storming = (async () => {
      for (let seat = draw.which; !over.signal.aborted; seat++) {
        const member = crew.at(seat)
        if (member && !member.frozen) {
          // It may die meanwhile.
          void member.ask('leave').catch(() => {})
          await pause(STORM_EVERY_MS, over.signal)
          void member.ask('join').catch(() => {})
        }
        await pause(STORM_EVERY_MS, over.signal)
      }
    })()
    return {
      target: crew.group,
      heal: async () => {
        over.abort()
        await storming
      },
    }
  },
}

const mailDown: ConsumerFault = {
  name: 'mail_down',
  resource: () => 'mail',
  leases: [0.4, 2.5],
  strike: async ({ mailDownFile }) => {
    await writeFile(mailDownFile, '')
    return { target: 'mail', heal: () => rm(mailDownFile, { force: true }) }
  },
}

/** Someone holds the whole group, and lets it go on later. */
const held: ConsumerFault = {
  name: 'group_held',
  resource: () => 'hold',
  leases: [1.6, 3.2],
  strike: async ({ troubled, history }, { which }) => {
    const member = troubled.at(which)
    if (!member || member.frozen) return null
    await member.ask('hold')
    const fromMs = Date.now()
    const { group } = troubled
    return {
      target: group,
      heal: async () => {
        const toMs = Date.now()
        history.tell({ kind: 'group_held', group, fromMs, toMs })
        await repeated('resuming the group', async () => {
          const [someone] = troubled.running.filter(each => !each.frozen)
          if (!someone) throw new Error('nobody runs')
          await someone.ask('resume')
        })
      },
    }
  },
}

export const faultsOfMembers: readonly ConsumerFault[] = [
  killed,
  killedAtPoint,
  frozen,
  stopped,
  storm,
  mailDown,
  held,
]
