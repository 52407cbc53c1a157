import assert from 'node:assert/strict'
import {
  counts,
  failed,
  idsOf,
  type Obligation,
  payloadsOf,
  published,
  topicsOf,
} from './outbox-adapter-rig.ts'

export function settling(obligation: Obligation): void {
  obligation('confirmed events leave the outbox, the others of the reservation stay', async rig => {
    await rig.write([{ key: 'a' }, { key: 'b' }, { key: 'c' }])
    const reservation = await rig.reserve()
    const gone = reservation.events.filter(({ key }) => key !== 'b')
    const settled = await rig.adapter.confirm(reservation, published(gone))
    assert.deepEqual(counts(settled), { settled: 2, fenced: 0 })
    assert.deepEqual(await rig.waiting(), [{ key: 'b', attempts: 0 }])
    assert.deepEqual(await rig.deadLetters(), [])
  })

  obligation('a confirm that is repeated changes nothing more', async rig => {
    await rig.write([{}, {}])
    const reservation = await rig.reserve()
    await rig.adapter.confirm(reservation, published(reservation.events))
    const again = await rig.adapter.confirm(reservation, published(reservation.events))
    assert.deepEqual(counts(again), { settled: 0, fenced: 0 })
  })

  obligation('recording nothing changes nothing', async rig => {
    await rig.write([{}])
    const reservation = await rig.reserve()
    const nothing = { settled: 0, fenced: 0 }
    assert.deepEqual(counts(await rig.adapter.confirm(reservation, [])), nothing)
    assert.deepEqual(counts(await rig.adapter.confirmFailed(reservation, [])), nothing)
    assert.deepEqual(await rig.waiting(), [{ key: 'k', attempts: 0 }])
  })

  obligation(
    'a dead event becomes a dead letter with its reason, once, and its key goes on',
    async rig => {
      await rig.write([{ payload: '1' }, { payload: '2' }])
      const reservation = await rig.reserve()
      const [first] = reservation.events
      const failures = [failed(first!, 'dead')]
      const settled = await rig.adapter.confirmFailed(reservation, failures)
      const again = await rig.adapter.confirmFailed(reservation, failures)
      assert.deepEqual(
        [counts(settled), counts(again)],
        [
          { settled: 1, fenced: 0 },
          { settled: 0, fenced: 0 },
        ],
      )
      const { eventId } = first!
      assert.deepEqual(await rig.deadLetters(), [
        { eventId, reason: 'refused', error: 'not this way' },
      ])
      rig.adapter.release(reservation)
      assert.deepEqual(payloadsOf(await rig.reserve()), ['2'])
    },
  )

  obligation(
    'a dead letter that blocks its key holds later events of it, and no other',
    async rig => {
      await rig.write([
        { key: 'a', payload: '1' },
        { key: 'a', payload: '2' },
        { key: 'b', payload: '3' },
        { key: 'a', topic: 'other', payload: '4' },
      ])
      const reservation = await rig.reserve()
      const first = reservation.events.find(({ payload }) => payload === '1')!
      const failures = [{ ...failed(first, 'dead'), blocksKey: true }]
      assert.equal((await rig.adapter.confirmFailed(reservation, failures)).settled, 1)
      rig.adapter.release(reservation)
      assert.deepEqual(payloadsOf(await rig.reserve()), ['3', '4'])
    },
  )

  obligation('of refusals that were recorded in part, the ids say which', async rig => {
    await rig.write([{ key: 'a' }, { key: 'b' }])
    const reservation = await rig.reserve()
    const failures = reservation.events.map(event => failed(event, 'dead'))
    await rig.adapter.confirm(reservation, published(reservation.events.slice(0, 1)))
    const settled = await rig.adapter.confirmFailed(reservation, failures)
    assert.equal(settled.settled, 1)
    // They are told where they are known.
    assert.deepEqual([...(settled.ids ?? idsOf(reservation).slice(1))], idsOf(reservation).slice(1))
  })
}

export function retrying(obligation: Obligation): void {
  obligation('a retry holds its key until it is settled, and no other key', async rig => {
    const { adapter, reserve } = rig
    await rig.write([
      { key: 'a', payload: '1' },
      { key: 'a', payload: '2' },
      { key: 'b', payload: '3' },
    ])
    const first = await reserve()
    const head = first.events.find(({ payload }) => payload === '1')!
    const settled = await adapter.confirmFailed(first, [failed(head, 'retry', 3_600_000)])
    assert.deepEqual(counts(settled), { settled: 1, fenced: 0 })
    adapter.release(first)
    const meanwhile = await reserve()
    assert.deepEqual(payloadsOf(meanwhile), ['3'])
    adapter.release(meanwhile)
    await rig.makeDue()
    const due = await reserve()
    assert.deepEqual(payloadsOf(due), ['1', '3'])
    const retried = due.events.find(({ payload }) => payload === '1')
    assert.deepEqual([retried?.id, retried?.attempts], [head.id, 1])
    await adapter.confirm(due, published(due.events))
    adapter.release(due)
    assert.deepEqual(payloadsOf(await reserve()), ['2'])
  })

  obligation('retries and dead events may be recorded together', async rig => {
    await rig.write(['a', 'b', 'c', 'd'].map(key => ({ key })))
    const reservation = await rig.reserve()
    const kinds = { a: 'retry', b: 'dead', c: 'retry', d: 'dead' } as const
    const failures = reservation.events.map(event =>
      failed(event, kinds[event.key as keyof typeof kinds]),
    )
    const settled = await rig.adapter.confirmFailed(reservation, failures)
    assert.deepEqual(counts(settled), { settled: 4, fenced: 0 })
    assert.deepEqual(await rig.waiting(), [
      { key: 'a', attempts: 1 },
      { key: 'c', attempts: 1 },
    ])
    assert.equal((await rig.deadLetters()).length, 2)
  })

  obligation('an event that dies after a retry lets its key go on', async rig => {
    await rig.write([{ payload: '1' }, { payload: '2' }, { payload: '3' }])
    for (const [kind, attempts] of [
      ['retry', 0],
      ['retry', 1],
      ['dead', 2],
    ] as const) {
      const reservation = await rig.reserve()
      const [head] = reservation.events
      assert.deepEqual([head?.payload, head?.attempts], ['1', attempts])
      await rig.adapter.confirmFailed(reservation, [failed(head!, kind)])
      rig.adapter.release(reservation)
    }
    assert.deepEqual(payloadsOf(await rig.reserve()), ['2', '3'])
  })

  obligation('a retry that is recorded twice spends one attempt', async rig => {
    await rig.write([{ key: 'a' }, { key: 'b' }])
    const reservation = await rig.reserve()
    const failures = reservation.events
      .filter(({ key }) => key === 'a')
      .map(e => failed(e, 'retry'))
    await rig.adapter.confirmFailed(reservation, failures)
    const again = await rig.adapter.confirmFailed(reservation, failures)
    assert.deepEqual(counts(again), { settled: 0, fenced: 0 })
    assert.deepEqual(await rig.waiting(), [
      { key: 'a', attempts: 1 },
      { key: 'b', attempts: 0 },
    ])
  })

  obligation('a retry in one topic does not hold the same key of another', async rig => {
    await rig.write([{ topic: 'one' }, { topic: 'two' }])
    const first = await rig.reserve()
    const head = first.events.find(({ topic }) => topic === 'one')!
    await rig.adapter.confirmFailed(first, [failed(head, 'retry', 3_600_000)])
    rig.adapter.release(first)
    assert.deepEqual(topicsOf(await rig.reserve()), ['two'])
  })

  obligation('a retry of an event without a key holds no other one', async rig => {
    await rig.write(Array.from({ length: 130 }, (_, n) => ({ key: null, payload: `${n}` })))
    const first = await rig.reserve()
    const head = first.events.find(({ payload }) => payload === '0')!
    await rig.adapter.confirmFailed(first, [failed(head, 'retry', 3_600_000)])
    rig.adapter.release(first)
    assert.equal((await rig.reserve()).events.length, 129)
  })
}
