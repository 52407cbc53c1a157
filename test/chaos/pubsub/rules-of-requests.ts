import type { CaseFile, KnownRequest } from './case-file.ts'
import type { Ended } from './history.ts'
import type { Findings } from './pubsub-rules.ts'

/** Beyond its time-out; the machine may do other things. */
const LATE_MS = 2_500
/** A reply that lies in its partition so long before the time-out is there in time. */
const DELIVERY_MS = 2_000
/** Who does not read a partition for so long tells those who wait for a reply there. */
const LOSS_MS = 4_000

/** I15: what became of each request. */
export function judgeRequests(file: CaseFile, findings: Findings): void {
  for (const request of file.requests) {
    judgeEnds(file, request, findings)
    const [end] = request.ends
    if (!end) continue
    judgeTime(file, request, end, findings)
    if (end.how === 'reply') judgeReply(request, end, findings)
    if (end.how === 'timeout') {
      judgeDelivery(file, request, end, findings)
      judgeSilence(file, request, end, findings)
    }
    if (end.how === 'lost') judgeLoss(file, request, end, findings)
    if (end.how !== 'reply') judgePeace(file, request, end, findings)
  }
  judgePlaces(file, findings)
}

const isInstance = (party: string) => party.startsWith('requester-instance')
const nameOf = ({ party, payload }: KnownRequest) => `${payload} of ${party}`

/** A reply, a time-out, a loss, or the end of its process; and one of them. */
function judgeEnds(file: CaseFile, request: KnownRequest, findings: Findings): void {
  const { ends, party } = request
  if (ends.length === 0 && !diedWithIt(file, request)) findings.add('not_ended', nameOf(request))
  if (ends.length > 1) {
    findings.add('ended_twice', `${nameOf(request)}: ${ends.map(({ how }) => how)}`)
  }
  for (const { how, error, atMs } of ends) {
    // A party that leaves gives up what is open.
    const closes = how === 'closed' && hasLeft(file, party, atMs)
    if (how === 'other' || (how === 'closed' && !closes)) {
      findings.add('ended_otherwise', `${nameOf(request)}: ${error}`)
    }
  }
}

/** Its process was gone before it had to end. */
function diedWithIt(file: CaseFile, { party, atMs }: KnownRequest): boolean {
  const diedAtMs = file.diedAtMs(party)
  if (diedAtMs === null) return false
  return diedAtMs <= atMs + file.timeoutMs + LATE_MS || file.wasFrozen(party, atMs, diedAtMs)
}

function hasLeft(file: CaseFile, party: string, atMs: number): boolean {
  const left = file.history
    .all('left')
    .some(each => each.party === party && each.atMs >= atMs - 1_000)
  return left || file.diedAtMs(party) !== null
}

function judgeTime(file: CaseFile, request: KnownRequest, end: Ended, findings: Findings): void {
  const tookMs = end.atMs - request.atMs
  if (tookMs <= file.timeoutMs + LATE_MS) return
  if (file.wasFrozen(request.party, request.atMs, end.atMs)) return
  findings.add('ended_late', `${nameOf(request)}: ${end.how} after ${tookMs} ms`)
}

/** It is this request's, and Kafka has it. */
function judgeReply(request: KnownRequest, end: Ended, findings: Findings): void {
  if (end.echo !== request.payload) {
    findings.add('foreign_reply', `${nameOf(request)} was answered as ${end.echo}`)
  }
  if (request.replies.length === 0) findings.add('phantom_reply', nameOf(request))
}

/** A reply that came in time to where its requester listened was delivered. */
function judgeDelivery(
  file: CaseFile,
  request: KnownRequest,
  end: Ended,
  findings: Findings,
): void {
  const { party, record, atMs } = request
  const inTime = request.replies.find(({ partition, timestampMs: fromMs }) => {
    const toMs = fromMs + DELIVERY_MS
    if (partition !== record?.replyPartition || toMs > atMs + file.timeoutMs) return false
    return file.holding(party, partition, fromMs, toMs) === 'all'
  })
  if (!inTime || file.isStruck(party, inTime.timestampMs, end.atMs)) return
  const afterMs = inTime.timestampMs - atMs
  findings.add('reply_not_delivered', `${nameOf(request)}: its reply was there after ${afterMs} ms`)
}

/** Who shares reply partitions and has lost one does not let its requests wait for their time-outs. */
function judgeSilence(file: CaseFile, request: KnownRequest, end: Ended, findings: Findings): void {
  const { party, record } = request
  if (record === null || isInstance(party)) return
  const fromMs = end.atMs - LOSS_MS
  // One that waited for a partition until its time was nearly over was sent at its end, and had lost nothing.
  if (record.timestampMs > fromMs) return
  if (file.holding(party, record.replyPartition, fromMs, end.atMs) !== 'none') return
  if (file.wasFrozen(party, fromMs, end.atMs)) return
  findings.add('loss_not_told', `${nameOf(request)}: partition ${record.replyPartition}`)
}

/** Who reads all reply partitions loses none to others that come and go. */
function judgeLoss(file: CaseFile, request: KnownRequest, end: Ended, findings: Findings): void {
  if (!isInstance(request.party)) return
  if (file.isStruck(request.party, request.atMs, end.atMs)) return
  findings.add('lost_for_nothing', nameOf(request))
}

/** While nothing is wrong, each request has its reply; also the one that is sent right after `connect()`. */
function judgePeace(file: CaseFile, request: KnownRequest, end: Ended, findings: Findings): void {
  if (end.how === 'closed' || !file.isPeaceful(request.party, request.atMs, end.atMs)) return
  const rule = request.first ? 'first_unanswered' : 'unanswered_in_peace'
  findings.add(rule, `${nameOf(request)}: ${end.how} ${end.error ?? ''}`)
}

/** Each reply lies in the partition that its request names. */
function judgePlaces(file: CaseFile, findings: Findings): void {
  const places = new Map(
    file.history.all('request').map(record => [record.correlationId, record.replyPartition]),
  )
  for (const { correlationId, partition, echo } of file.history.all('reply')) {
    const asked = places.get(correlationId)
    if (asked === partition) continue
    findings.add('misplaced_reply', `${echo} in ${partition} instead of ${asked}`)
  }
}
