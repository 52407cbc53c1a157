import assert from 'node:assert/strict'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import {
  ALL,
  counts,
  failed,
  idsOf,
  type Obligation,
  published,
  RESERVE_MS,
} from './outbox-adapter-rig.ts'

export function leasing(obligation: Obligation): void {
  obligation(
    'leases are trusted for no longer than was asked for, and for most of it',
    async rig => {
      await rig.write([{}])
      const { trustedUntilMs, leases, events } = await rig.reserve()
      const leftMs = trustedUntilMs - monotonicMs()
      assert.ok(leftMs > RESERVE_MS / 2 && leftMs <= RESERVE_MS, `${leftMs} ms are left`)
      assert.deepEqual(
        leases.map(({ lane }) => lane),
        events.map(({ lane }) => lane),
      )
    },
  )

  obligation('a renewal lets the leases be trusted for longer', async rig => {
    await rig.write([{}])
    const reservation = await rig.reserve()
    const askedMs = monotonicMs()
    const trustedUntilMs = await rig.adapter.renew(reservation, 2 * RESERVE_MS)
    assert.ok(trustedUntilMs > reservation.trustedUntilMs)
    assert.ok(trustedUntilMs <= askedMs + 2 * RESERVE_MS)
  })

  obligation('a replica whose lanes were taken over changes nothing, and is told so', async rig => {
    await rig.write([{ key: 'a' }, { key: 'b' }, { key: 'c' }])
    const reservation = await rig.reserve()
    const { events } = reservation
    await rig.takeOver()
    const nothing = { settled: 0, fenced: 3 }
    const dead = events.map(event => failed(event, 'dead'))
    const retries = events.map(event => failed(event, 'retry'))
    assert.deepEqual(counts(await rig.adapter.confirm(reservation, published(events))), nothing)
    assert.deepEqual(counts(await rig.adapter.confirmFailed(reservation, dead)), nothing)
    assert.deepEqual(counts(await rig.adapter.confirmFailed(reservation, retries)), nothing)
    const rows = ['a', 'b', 'c'].map(key => ({ key, attempts: 0 }))
    assert.deepEqual(await rig.waiting(), rows)
    assert.deepEqual(await rig.deadLetters(), [])
  })

  obligation('a renewal after a takeover says that nothing may be sent any more', async rig => {
    await rig.write([{}])
    const reservation = await rig.reserve()
    await rig.takeOver()
    assert.equal(await rig.adapter.renew(reservation, 2 * RESERVE_MS), 0)
  })

  obligation('a lane that goes to another replica has a higher epoch', async rig => {
    await rig.write([{}])
    const before = await rig.reserve()
    rig.adapter.release(before)
    await rig.adapter.stop()
    const after = await rig.reserve(10, ALL, rig.openReplica())
    const [old, young] = [before.leases[0]!, after.leases[0]!]
    assert.equal(young.lane, old.lane)
    assert.ok(BigInt(young.epoch) > BigInt(old.epoch), `${old.epoch}, then ${young.epoch}`)
  })

  obligation(
    'what a stopped replica held goes to another one long before its leases end',
    async rig => {
      await rig.write([{ key: 'a' }, { key: 'b' }])
      const first = await rig.reserve()
      rig.adapter.release(first)
      await rig.adapter.stop()
      await rig.adapter.stop()
      const other = rig.openReplica()
      const again = await rig.reserve(10, ALL, other)
      assert.deepEqual(idsOf(again).sort(), idsOf(first).sort())
      const settled = await other.confirm(again, published(again.events))
      assert.deepEqual(counts(settled), { settled: 2, fenced: 0 })
    },
  )

  obligation('a stopped replica reserves nothing', async rig => {
    await rig.write([{}])
    rig.adapter.release(await rig.reserve())
    await rig.adapter.stop()
    const after = rig.adapter.reserveNewEvents(10, RESERVE_MS, ALL)
    assert.equal(await after.catch(() => null), null)
  })
}
