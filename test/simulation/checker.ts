import type { FaultKind } from './fault-kinds.ts'
import type { Append, EventRecord, Ledger, Trouble } from './ledger.ts'
import type { World } from './world.ts'
import { orderOf } from './writers.ts'

/** They make answers late or lose them, and that is told by the sends themselves. */
const FAULTS_OF_BROKER: ReadonlySet<string> = new Set<FaultKind>([
  'broker_down',
  'broker_slow',
  'credentials',
  'topic_missing',
  'topic_refusing',
  'send_failed',
  'ack_lost',
  'late_write',
])

/** Looks through the whole of a history that has come to its end. */
export function check(world: World): void {
  const { ledger } = world
  const records = [...ledger.events.values()]
  const committed = records.filter(({ status }) => status === 'committed')
  for (const record of records) checkPhantom(record, ledger)
  for (const record of committed) checkLost(record, ledger)
  checkOrder(committed, ledger)
  for (const record of committed) checkDuplicates(record, world)
}

/** How many records there are beyond the first of each event. */
export function duplicatesOf(ledger: Ledger): number {
  let duplicates = 0
  for (const { appends } of ledger.events.values()) duplicates += Math.max(0, appends.length - 1)
  return duplicates
}

function checkPhantom({ plan, status, appends }: EventRecord, ledger: Ledger): void {
  if (status === 'committed' || appends.length === 0) return
  ledger.violation(`phantom: ${plan.eventId} was published and is ${status}`)
}

function checkLost({ plan, end, appends }: EventRecord, ledger: Ledger): void {
  if (end === null) ledger.violation(`lost: ${plan.eventId} has come to no end`)
  if (end === 'confirmed' && appends.length === 0) {
    ledger.violation(`lost: ${plan.eventId} was confirmed and the broker has never had it`)
  }
}

/**
 * First deliveries of a key come in the order of its commits. Left out are events whose place is not theirs alone:
 * those that were delayed, that may have expired, and that came back after later ones had been let go.
 */
function checkOrder(committed: readonly EventRecord[], ledger: Ledger): void {
  const keys = new Map<string, EventRecord[]>()
  for (const record of committed) {
    const order = orderOf(record)
    const { delayMs, expiresInMs } = record.plan
    const isFree = delayMs > 0 || Number.isFinite(expiresInMs) || record.diedUnheld
    if (order === null || isFree || record.appends.length === 0) continue
    keys.set(order, [...(keys.get(order) ?? []), record])
  }
  for (const [order, records] of keys) {
    records.sort((a, b) => a.place - b.place)
    records.forEach((record, n) => {
      const before = records[n - 1]
      if (before === undefined || before.appends[0]!.turn < record.appends[0]!.turn) return
      const [first, second] = [before, record].map(({ plan, id }) => `${plan.eventId} (id ${id})`)
      ledger.violation(`order: ${second} was published before ${first}, both of ${order}`)
    })
  }
}

/** Each further copy has a reason: nobody knew of the one before it, or its sender was in trouble. */
function checkDuplicates({ plan, appends }: EventRecord, world: World): void {
  const sends = [...appends].sort((a, b) => a.send.begunMs - b.send.begunMs || a.turn - b.turn)
  sends.forEach((append, n) => {
    const before = sends[n - 1]
    if (before === undefined) return
    const { replica } = before.send
    if (isNeedless(before, append)) {
      world.ledger.violation(
        `needless: ${plan.eventId} again by ${replica}, which knew that it was stored`,
      )
      return
    }
    if (isExplained(before, append, world)) return
    world.ledger.violation(
      `duplicate: ${plan.eventId} again without a reason, by ${append.send.replica} after ${replica}`,
    )
  })
}

/** Whoever has the answer records it, however long that takes, before it reads the lane again. */
function isNeedless(before: Append, again: Append): boolean {
  const known = before.send.ackedMs !== null && before.send.ackedMs <= again.send.begunMs
  return known && before.send.replica === again.send.replica && before.epoch === again.epoch
}

function isExplained(before: Append, again: Append, { ledger, plan }: World): boolean {
  const { send } = before
  if (send.cause !== null) return true
  const fromMs = send.begunMs - plan.relay.reserveMs
  const untilMs = again.send.begunMs
  return ledger.troubles.some(
    trouble =>
      reaches(trouble, send.replica) && trouble.fromMs <= untilMs && trouble.untilMs >= fromMs,
  )
}

/** What keeps a replica from recording an answer that it has, or from having it. */
function reaches({ kind, replica }: Trouble, name: string): boolean {
  return (replica === null || replica === name) && !FAULTS_OF_BROKER.has(kind)
}
