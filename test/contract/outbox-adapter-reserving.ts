import assert from 'node:assert/strict'
import {
  ALL,
  assertInOrder,
  idsOf,
  keysOf,
  type Obligation,
  payloadsOf,
  published,
  RESERVE_MS,
  topicsOf,
} from './outbox-adapter-rig.ts'

export function reserving(obligation: Obligation): void {
  obligation('an event is read as it was written', async ({ write, reserve }) => {
    const bytes = Uint8Array.from([0, 255, 10])
    await write([
      {
        topic: 'a',
        key: 'ключ',
        eventType: 'A',
        payload: '{"n": 1.50,  "b":"é"}',
        headersJson: '{"s":"x"}',
      },
      { topic: 'b', key: '', eventType: 'B', payload: bytes },
      { topic: 'c', key: null, eventType: 'C', payload: null },
    ])
    const byType = new Map((await reserve()).events.map(event => [event.eventType, event]))
    assert.equal(byType.size, 3)
    const { lane, id, eventId, ageMs, headersJson, ...text } = byType.get('A')!
    assert.deepEqual(text, {
      topic: 'a',
      key: 'ключ',
      eventType: 'A',
      payload: '{"n": 1.50,  "b":"é"}',
      attempts: 0,
      expired: false,
    })
    assert.deepEqual(JSON.parse(headersJson), { s: 'x' })
    assert.ok(Number.isInteger(lane) && lane >= 0)
    assert.match(id, /^\d+$/)
    assert.match(eventId, /^[0-9a-f-]{36}$/)
    assert.ok(ageMs >= 0 && ageMs < 60_000, `read at an age of ${ageMs} ms`)
    const { key, payload, headersJson: none } = byType.get('B')!
    assert.deepEqual(
      [key, Buffer.from(payload as Uint8Array), none],
      ['', Buffer.from(bytes), '{}'],
    )
    assert.deepEqual([byType.get('C')?.key, byType.get('C')?.payload], [null, null])
  })

  obligation('an empty outbox, or one with nothing due, has nothing to reserve', async rig => {
    const { adapter, write, reserve } = rig
    const ask = () => adapter.reserveNewEvents(10, RESERVE_MS, ALL)
    assert.equal(await ask(), null)
    await write([{ key: 'later', notBeforeInMs: 3_600_000 }, { key: 'now' }])
    const reservation = await reserve()
    assert.deepEqual(keysOf(reservation), ['now'])
    await adapter.confirm(reservation, published(reservation.events))
    adapter.release(reservation)
    assert.equal(await ask(), null)
  })

  obligation('the events of a key stand in the order in which they were written', async rig => {
    await rig.write(Array.from({ length: 200 }, (_, n) => ({ key: `k${n % 20}`, payload: `${n}` })))
    const { events } = await rig.reserve()
    assert.equal(events.length, 200)
    assertInOrder(events)
  })

  obligation(
    'two live reservations never share a key, and each begins its keys at their first event',
    async rig => {
      const rows = Array.from({ length: 400 }, (_, n) => ({ key: `k${n % 100}`, payload: `${n}` }))
      await rig.write(rows)
      const one = await rig.reserve(100)
      const two = await rig.reserve(100)
      assert.deepEqual(
        keysOf(one).filter(key => keysOf(two).includes(key)),
        [],
      )
      for (const { events } of [one, two]) {
        const firsts = new Map(events.toReversed().map(event => [event.key, Number(event.payload)]))
        for (const [key, n] of firsts) assert.equal(key, `k${n}`)
        assertInOrder(events)
      }
    },
  )

  obligation('reservations that are asked for at once share no key either', async rig => {
    await rig.write(Array.from({ length: 300 }, (_, n) => ({ key: `k${n % 100}` })))
    rig.adapter.release(await rig.reserve())
    const ask = () => rig.adapter.reserveNewEvents(50, RESERVE_MS, ALL)
    const found = (await Promise.all([ask(), ask(), ask()])).filter(each => each !== null)
    const keys = found.flatMap(keysOf)
    assert.deepEqual(keys.length, new Set(keys).size)
  })

  obligation('two replicas’ live reservations never share a key', async rig => {
    await rig.write(Array.from({ length: 300 }, (_, n) => ({ key: `k${n % 100}` })))
    const one = await rig.reserve(50)
    const two = await rig.reserve(1_000, ALL, rig.openReplica())
    assert.deepEqual(
      keysOf(one).filter(key => keysOf(two).includes(key)),
      [],
    )
  })

  obligation('what was released without an answer is reserved again, as it was', async rig => {
    await rig.write([
      { key: 'a', payload: '1' },
      { key: 'a', payload: '2' },
    ])
    const first = await rig.reserve()
    rig.adapter.release(first)
    const again = await rig.reserve()
    assert.deepEqual(idsOf(again), idsOf(first))
    assert.deepEqual(
      again.events.map(({ attempts }) => attempts),
      [0, 0],
    )
  })

  obligation('a reservation holds no more rows than asked for', async rig => {
    await rig.write(Array.from({ length: 50 }, (_, n) => ({ key: `k${n}` })))
    assert.equal((await rig.reserve(7)).events.length, 7)
  })

  obligation(
    'a reservation is bounded by bytes, but an event that is larger comes alone',
    async rig => {
      const payload = JSON.stringify('x'.repeat(1_000))
      await rig.write(Array.from({ length: 10 }, () => ({ payload })))
      const some = await rig.reserve(100, { ...ALL, bytesMax: 3_500 })
      assert.ok(some.events.length >= 3 && some.events.length <= 4, `${some.events.length} events`)
      rig.adapter.release(some)
      assert.equal((await rig.reserve(100, { ...ALL, bytesMax: 10 })).events.length, 1)
    },
  )

  obligation('topics that are shut stay where they are, and only they', async rig => {
    await rig.write([{ topic: 'shut' }, { topic: 'open' }, { topic: 'shut-not' }])
    const exceptTopics = ['shut', 'another']
    const reservation = await rig.reserve(10, { ...ALL, exceptTopics })
    assert.deepEqual(topicsOf(reservation), ['open', 'shut-not'])
    rig.adapter.release(reservation)
    assert.deepEqual(topicsOf(await rig.reserve()), ['open', 'shut', 'shut-not'])
  })

  obligation('a delivery delay holds nothing else of its key back', async rig => {
    await rig.write([{ payload: '"later"', notBeforeInMs: 3_600_000 }, { payload: '"now"' }])
    const now = await rig.reserve()
    assert.deepEqual(payloadsOf(now), ['"now"'])
    rig.adapter.release(now)
    await rig.makeDue()
    assert.deepEqual(payloadsOf(await rig.reserve()), ['"later"', '"now"'])
  })

  obligation('an event whose time is over is marked so, the others are not', async rig => {
    await rig.write([{ expiresInMs: -1_000 }, { expiresInMs: 3_600_000 }, {}])
    const { events } = await rig.reserve()
    assert.deepEqual(
      events.map(({ expired }) => expired),
      [true, false, false],
    )
  })
}
