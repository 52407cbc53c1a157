import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fingerprintOf, sha256 } from '../../../src/demo/fingerprint.ts'
import {
  type CommittedEvent,
  type DeliveredRecord,
  judge,
  passes,
} from '../../../src/demo/verdict.ts'

const headers = { source: 'shop' }
const contentOf = (payload: string) =>
  fingerprintOf({ eventType: 'OrderPlaced', headers, payloadSha256: sha256(payload) })

/** Two keys of three events each, and Kafka as it should be: each key on a partition of its own. */
function honest() {
  const committed: CommittedEvent[] = []
  const records: DeliveredRecord[] = []
  for (let seqInKey = 1; seqInKey <= 3; seqInKey++) {
    for (const [partition, key] of ['a', 'b'].entries()) {
      const eventId = `${key}${seqInKey}`
      const fingerprint = contentOf(eventId)
      committed.push({ eventId, topic: 'orders', key, seqInKey, fingerprint })
      records.push({ eventId, topic: 'orders', key, partition, fingerprint })
    }
  }
  return { committed, records }
}

const clean = {
  committed: 6,
  published: 6,
  lost: 0,
  duplicates: 0,
  phantom: 0,
  outOfOrder: 0,
  mutated: 0,
}

/** The verdict when `tamper` has had its way with Kafka's records. */
function verdictAfter(tamper: (records: DeliveredRecord[]) => void) {
  const { committed, records } = honest()
  tamper(records)
  return judge(committed, records)
}

test('what was published as committed passes', () => {
  const verdict = verdictAfter(() => {})
  assert.deepEqual(verdict, clean)
  assert.equal(passes(verdict), true)
})

test('a missing record is a lost event and breaks no order', () => {
  const verdict = verdictAfter(records => records.splice(2, 1))
  assert.deepEqual(verdict, { ...clean, published: 5, lost: 1 })
  assert.equal(passes(verdict), false)
})

test('a record that never committed is a phantom, with or without an event id', () => {
  const verdict = verdictAfter(records => {
    records.push({ ...records[0]!, eventId: 'rolled-back' }, { ...records[0]!, eventId: null })
  })
  assert.deepEqual(verdict, { ...clean, phantom: 2 })
  assert.equal(passes(verdict), false)
})

test('two events of a key in the wrong order are one violation', () => {
  const verdict = verdictAfter(records => {
    const [first, second] = [records[0]!, records[2]!]
    records[0] = second
    records[2] = first
  })
  assert.deepEqual(verdict, { ...clean, outOfOrder: 1 })
  assert.equal(passes(verdict), false)
})

test('events of different keys may come in any order', () => {
  const verdict = verdictAfter(records => {
    records.sort((left, right) => right.partition - left.partition)
  })
  assert.deepEqual(verdict, clean)
})

test('a record beside the partition of its key is a violation, whichever partition is read first', () => {
  const strayed = (records: DeliveredRecord[]) => {
    records[4] = { ...records[4]!, partition: 7 }
  }
  assert.deepEqual(verdictAfter(strayed), { ...clean, outOfOrder: 1 })
  const readLast = verdictAfter(records => {
    strayed(records)
    records.sort((left, right) => right.partition - left.partition)
  })
  assert.deepEqual(readLast, { ...clean, outOfOrder: 1 })
})

test('a repetition on another partition is a violation, whichever of the two is read first', () => {
  for (const place of [0, 6]) {
    const verdict = verdictAfter(records => {
      records.splice(place, 0, { ...records[2]!, partition: 7 })
    })
    assert.deepEqual(verdict, { ...clean, duplicates: 1, outOfOrder: 1 })
  }
})

test('a repetition is a duplicate, and breaks no order however late it comes', () => {
  const verdict = verdictAfter(records => records.push(records[0]!))
  assert.deepEqual(verdict, { ...clean, duplicates: 1 })
  assert.equal(passes(verdict), true)
})

test('an event whose first delivery comes late is out of order even if a repetition follows', () => {
  const verdict = verdictAfter(records => {
    const [late] = records.splice(0, 1)
    records.push(late!, late!)
  })
  assert.deepEqual(verdict, { ...clean, outOfOrder: 1, duplicates: 1 })
})

test('a changed byte, key, topic or header is an altered record', () => {
  const otherHeaders = { eventType: 'OrderPlaced', headers: {}, payloadSha256: sha256('a1') }
  const changes: Partial<DeliveredRecord>[] = [
    { fingerprint: contentOf('a1 ') },
    { fingerprint: fingerprintOf(otherHeaders) },
    { fingerprint: fingerprintOf({ ...otherHeaders, headers, eventType: 'OrderPaid' }) },
    { key: 'c' },
    { key: null },
    { topic: 'payments' },
  ]
  for (const change of changes) {
    const verdict = verdictAfter(records => {
      records[0] = { ...records[0]!, ...change }
    })
    assert.deepEqual(verdict, { ...clean, mutated: 1 }, JSON.stringify(change))
    assert.equal(passes(verdict), false)
  }
})

test('a tombstone is not an empty value', () => {
  const content = { eventType: 'OrderPlaced', headers }
  assert.notEqual(
    fingerprintOf({ ...content, payloadSha256: sha256(null) }),
    fingerprintOf({ ...content, payloadSha256: sha256('') }),
  )
})

test('events without a key have no order', () => {
  const committed = [1, 2].map(seqInKey => ({
    eventId: `e${seqInKey}`,
    topic: 'orders',
    key: null,
    seqInKey,
    fingerprint: contentOf('x'),
  }))
  const records = committed.map((event, partition) => ({ ...event, partition })).reverse()
  assert.deepEqual(judge(committed, records), { ...clean, committed: 2, published: 2 })
})

test('the same key in two topics is two keys', () => {
  const { committed, records } = honest()
  const other = <E extends { eventId: string | null }>(event: E): E => ({
    ...event,
    topic: 'payments',
    eventId: `p${event.eventId}`,
  })
  const verdict = judge(
    [...committed, ...committed.map(other)],
    [...records, ...records.map(other)],
  )
  assert.deepEqual(verdict, { ...clean, committed: 12, published: 12 })
})
