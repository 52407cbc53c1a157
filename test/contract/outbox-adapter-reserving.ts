import assert from 'node:assert/strict'
import type { OutboxEvent } from '../../src/outbox/event.ts'
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
      { topic: 'd', key: 'x', eventType: 'D', payload: new Uint8Array(0) },
    ])
    const byType = new Map((await reserve()).events.map(event => [event.eventType, event]))
    assert.equal(byType.size, 4)
    const { lane, id, eventId, ageMs, headersJson, ...more } = byType.get('A')!
    const { topic, key, payload, attempts, expired } = more
    const written = ['a', 'ключ', '{"n": 1.50,  "b":"é"}', 0, false]
    assert.deepEqual([topic, key, payload, attempts, expired], written)
    assert.deepEqual(JSON.parse(headersJson), { s: 'x' })
    assert.ok(Number.isInteger(lane) && lane >= 0)
    assert.match(id, /^\d+$/)
    assert.match(eventId, /^[0-9a-f-]{36}$/)
    assert.ok(ageMs >= 0 && ageMs < 60_000, `read at an age of ${ageMs} ms`)
    const b = byType.get('B')!
    assert.deepEqual([b.key, b.headersJson], ['', '{}'])
    assert.deepEqual(Buffer.from(b.payload as Uint8Array), Buffer.from(bytes))
    assert.deepEqual([byType.get('C')?.key, byType.get('C')?.payload], [null, null])
    // Empty bytes are a value; only null is a tombstone.
    assert.equal(byType.get('D')?.payload?.length, 0)
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

  obligation('reserved in small steps, each event comes once, in its key’s order', async rig => {
    await rig.write(Array.from({ length: 60 }, (_, n) => ({ key: `k${n % 6}`, payload: `${n}` })))
    const came: OutboxEvent[] = []
    while (came.length < 60) {
      const step = await rig.reserve(7)
      // The last third has no answer: it must come again, and first.
      const answered = step.events.slice(0, Math.ceil((step.events.length * 2) / 3))
      await rig.adapter.confirm(step, published(answered))
      rig.adapter.release(step)
      came.push(...answered)
    }
    assertInOrder(came)
    assert.deepEqual(await rig.waiting(), [])
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

  obligation('bytes are counted as UTF-8 writes them, text and bytes alike', async rig => {
    const text = JSON.stringify('é'.repeat(1_000))
    const payloads = [text, new Uint8Array(2_000), text, new Uint8Array(2_000)]
    await rig.write(payloads.map(payload => ({ payload })))
    const { events } = await rig.reserve(100, { ...ALL, bytesMax: 3_000 })
    assert.ok(events.length >= 1 && events.length <= 2, `${events.length} events`)
  })

  obligation('topics that are shut stay where they are, and only they', async rig => {
    await rig.write([{ topic: 'shut' }, { topic: 'open' }, { topic: 'shut-not' }])
    const exceptTopics = ['shut', 'another']
    const reservation = await rig.reserve(10, { ...ALL, exceptTopics })
    assert.deepEqual(topicsOf(reservation), ['open', 'shut-not'])
    rig.adapter.release(reservation)
    assert.deepEqual(topicsOf(await rig.reserve()), ['open', 'shut', 'shut-not'])
  })

  obligation('what must stay where it is uses up no row of the limit', async rig => {
    const shut = Array.from({ length: 30 }, () => ({ topic: 'shut' }))
    const later = Array.from({ length: 30 }, () => ({ notBeforeInMs: 3_600_000 }))
    await rig.write([...shut, ...later, { payload: '1' }, { payload: '2' }])
    const exceptTopics = ['shut']
    assert.deepEqual(payloadsOf(await rig.reserve(2, { ...ALL, exceptTopics })), ['1', '2'])
  })

  obligation('a delivery delay holds nothing else of its key back', async rig => {
    await rig.write([{ payload: '"later"', notBeforeInMs: 3_600_000 }, { payload: '"now"' }])
    const now = await rig.reserve()
    assert.deepEqual(payloadsOf(now), ['"now"'])
    await rig.adapter.confirm(now, published(now.events))
    rig.adapter.release(now)
    await rig.makeDue()
    assert.deepEqual(payloadsOf(await rig.reserve()), ['"later"'])
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
