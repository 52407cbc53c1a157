import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monotonicMs } from '../../../src/internal/monotonic.ts'
import type { Reservation } from '../../../src/outbox/adapter.ts'
import { type Attempt, Slot, type SlotWork } from '../../../src/relay/slot.ts'
import { sampleEvent, sampleEvents } from '../../contract/sample-event.ts'

const attempts: Attempt[] = [
  { event: sampleEvent(), outcome: { kind: 'acked', partition: 0, offset: '1' } },
]

function reservationOf(name: string): Reservation {
  const events = sampleEvents([{ payload: name }])
  return { events, leases: [], trustedUntilMs: 0 }
}

/** Work that notes what it is called for; it drains once `reservations` are used up. */
function setup(reservations: (Reservation | null)[], more: Partial<SlotWork> = {}) {
  const called: string[] = []
  const drain = new AbortController()
  const note = (what: string, { events }: Reservation) =>
    called.push(`${what} ${events[0]?.payload}`)
  const work: SlotWork = {
    reserve: async () => {
      if (drain.signal.aborted) throw new Error('it reserves although it was told to stop')
      const next = reservations.shift()
      if (reservations.length === 0) drain.abort()
      return next ?? null
    },
    publish: async reservation => {
      note('publish', reservation)
      return attempts
    },
    settle: async (reservation, settled) => {
      note('settle', reservation)
      assert.equal(settled, attempts)
    },
    release: reservation => note('release', reservation),
    ...more,
  }
  return { called, drain, slot: new Slot('slot 0', work, drain.signal) }
}

test('a reservation is published, settled and released before the next one is made', async () => {
  const { slot, called } = setup([reservationOf('a'), reservationOf('b')])
  await slot.run()
  const rounds = ['a', 'b'].map(name => [`publish ${name}`, `settle ${name}`, `release ${name}`])
  assert.deepEqual(called, rounds.flat())
})

test('when nothing can be reserved there is nothing to release', async () => {
  const { slot, called } = setup([null, null])
  await slot.run()
  assert.deepEqual(called, [])
})

test('what was reserved while the stop was asked for is still settled', async () => {
  const { slot, called } = setup([reservationOf('last')])
  await slot.run()
  assert.deepEqual(called, ['publish last', 'settle last', 'release last'])
})

test('a slot that is told to stop before it starts reserves nothing', async () => {
  const { slot, drain, called } = setup([reservationOf('a'), reservationOf('b')])
  drain.abort()
  await slot.run()
  assert.deepEqual(called, [])
})

test('a reservation is released, and the slot dies, whatever step of it throws', async () => {
  const broken = new Error('broken')
  const fail = async () => {
    throw broken
  }
  for (const more of [{ publish: fail }, { settle: fail }]) {
    const { slot, called } = setup([reservationOf('a'), reservationOf('b')], more)
    await assert.rejects(slot.run(), broken)
    assert.equal(called.at(-1), 'release a')
    assert.equal(called.filter(call => call.startsWith('release')).length, 1)
  }
})

test('each round, and each turn of a settlement that takes long, is a sign of life', async () => {
  const turns: number[] = []
  const { slot } = setup([reservationOf('a')], {
    settle: async (_, __, turn) => {
      for (let n = 0; n < 3; n++) {
        const beforeMs = monotonicMs()
        turn()
        assert.ok(slot.lastTurnAtMs >= beforeMs)
        turns.push(slot.lastTurnAtMs)
      }
    },
  })
  const bornAtMs = slot.lastTurnAtMs
  await slot.run()
  assert.equal(turns.length, 3)
  assert.ok(turns.every(turn => turn > bornAtMs))
})
