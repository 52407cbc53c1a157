import assert from 'node:assert/strict'
import {
  ALL,
  assertInOrder,
  keysOf,
  type Obligation,
  published,
  RESERVE_MS,
  sharedKeys,
} from './outbox-adapter-rig.ts'

/** Rows of 100 keys, one after the other; the payload of a key's first one is the key's number. */
const rows = (length: number) =>
  Array.from({ length }, (_, n) => ({ key: `k${n % 100}`, payload: `${n}` }))

export function reservingSideBySide(obligation: Obligation): void {
  obligation(
    'two live reservations never share a key, and each begins its keys at their first event',
    async rig => {
      await rig.write(rows(400))
      const one = await rig.reserve(100)
      const two = await rig.reserveBeside(100)
      assert.equal(two === null, rig.oneAtATime === true)
      assert.deepEqual(sharedKeys(one, two), [])
      for (const events of [one.events, two?.events ?? []]) {
        const firsts = new Map(events.toReversed().map(event => [event.key, Number(event.payload)]))
        for (const [key, n] of firsts) assert.equal(key, `k${n}`)
        assertInOrder(events)
      }
    },
  )

  obligation('reservations that are asked for at once share no key either', async rig => {
    await rig.write(rows(300))
    rig.adapter.release(await rig.reserve())
    const ask = () => rig.adapter.reserveNewEvents(50, RESERVE_MS, ALL)
    const found = (await Promise.all([ask(), ask(), ask()])).filter(each => each !== null)
    const keys = found.flatMap(keysOf)
    assert.deepEqual(keys.length, new Set(keys).size)
  })

  obligation('two replicas’ live reservations never share a key', async rig => {
    await rig.write(rows(300))
    const one = await rig.reserve(50)
    const two = await rig.reserveBeside(1_000, ALL, rig.openReplica())
    assert.equal(two === null, rig.oneAtATime === true)
    assert.deepEqual(sharedKeys(one, two), [])
  })

  obligation('the end of one reservation ends no other', async rig => {
    await rig.write(rows(400))
    const one = await rig.reserve(100)
    const two = await rig.reserveBeside(100)
    if (two === null) return
    rig.adapter.release(one)
    const three = await rig.reserve(1_000)
    assert.deepEqual(sharedKeys(two, three), [])
    const settled = await rig.adapter.confirm(two, published(two.events))
    assert.deepEqual(settled, { settled: two.events.length, fenced: 0 })
  })

  obligation('what one replica has confirmed, another never reserves', async rig => {
    await rig.write(rows(200))
    const one = await rig.reserve(1_000)
    await rig.adapter.confirm(one, published(one.events))
    rig.adapter.release(one)
    await rig.adapter.stop()
    const confirmed = new Set(one.events.map(({ id }) => id))
    const left = 200 - confirmed.size
    const two = left > 0 ? await rig.reserve(1_000, ALL, rig.openReplica()) : null
    assert.deepEqual(two?.events.filter(({ id }) => confirmed.has(id)) ?? [], [])
    assert.equal((await rig.waiting()).length, left)
  })
}
